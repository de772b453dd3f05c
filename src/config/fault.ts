/** What is wrong with a configuration: all of it at once, each fault with where it was found and what is allowed. */

export interface Fault {
  /** "environment", "command line", or the path of the file. */
  readonly source: string;
  /** The key, variable or flag as it was written, or "" when the fault concerns the whole source. */
  readonly name: string;
  /** The value as it was written; null when there is none to show. */
  readonly value: string | null;
  /** What is wrong, or what is allowed: "must be …", "unknown key". */
  readonly allowed: string;
}

/** One line for a person: `config/quarkmq.toml: log.segment_bytes = 12: must be …`. */
export function faultLine({ source, name, value, allowed }: Fault): string {
  const what = value === null ? name : `${name} = ${value.length > 200 ? `${value.slice(0, 200)}…` : value}`;
  return [source, what, allowed].filter((part) => part !== "").join(": ");
}

/** Every fault of a configuration. Its message is for the operator, complete and without a stack. */
export class ConfigFaults extends Error {
  override name = "ConfigFaults";
  readonly faults: readonly Fault[];
  constructor(faults: readonly Fault[]) {
    const count = faults.length === 1 ? "1 fault" : `${faults.length} faults`;
    super(`${count} in the configuration:\n${faults.map((fault) => `  ${faultLine(fault)}`).join("\n")}`);
    this.faults = faults;
  }
}

/** `; did you mean …?` when one of the names is close to what was written, otherwise "". */
export function suggestion(written: string, names: Iterable<string>): string {
  let best = "";
  let bestDistance = Math.min(3, Math.floor(written.length / 3)) + 1;
  for (const name of names) {
    const distance = editDistance(written, name, bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best === "" ? "" : `; did you mean ${best}?`;
}

/** Levenshtein's distance, or `limit` when it is not below. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
