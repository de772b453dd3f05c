/** What happened in one simulated history, line by line, and what was checked on the way. */
import { createHash } from "node:crypto";
import type { FakeClock } from "../fake-clock.ts";

/** Every invariant by its name. A history ends with the first that does not hold. */
export const CHECKS = [
  // Records
  "acknowledged records survive",
  "what was shown stays as it was shown",
  "only what was sent is read",
  "a batch is there once",
  "the order of each producer is kept",
  "an idempotent producer leaves no gap",
  "a repeated batch has its first offset",
  "the next batch in sequence is taken",
  "offsets have no gap",
  "the high watermark never goes back",
  "the high watermark lies within the log",
  "readers stay below the high watermark",
  "no fetch sleeps while there is what it waits for",
  // Where a log begins
  "the log start never goes back",
  "the log start moves for a reason",
  "nothing below the log start is served",
  "compaction keeps records as they are, in order",
  "a compacted topic ends with the last value of each key",
  // Transactions
  "a transaction is there whole or not at all",
  "what is committed is seen",
  "what is aborted or open is never seen",
  "readers of committed data stay below the last stable offset",
  "the last stable offset stays below what is open",
  "the last stable offset never goes back",
  "every transaction ends",
  "offsets of a transaction count with it",
  "an epoch is given once",
  // Groups
  "acknowledged commits survive",
  "committed offsets never go back",
  "one generation has one assignment",
  "members own partitions one at a time",
  // Topics and ids
  "a name is one topic's",
  "a topic stays until it is deleted",
  "a deleted topic stays away",
  "partitions that were shown stay",
  "a growth is there whole or not at all",
  "a growth leaves the other partitions alone",
  "new partitions can be written and read",
  "topic ids are never used again",
  "producer ids are never used again",
  // The broker as a whole
  "every request ends",
  "no error without a cause",
  "the process ends after a failed sync, and only then",
  "it starts on whatever it left",
  "nothing is left in the data directory",
  "no file stays open",
  "nothing is kept for nobody",
] as const;

export type CheckName = (typeof CHECKS)[number];

export class Violation extends Error {
  override name = "Violation";
  readonly check: CheckName;
  constructor(check: CheckName, detail: string) {
    super(`${check}: ${detail}`);
    this.check = check;
  }
}

export class History {
  readonly lines: string[] = [];
  /** How often each check looked at something. */
  readonly looked = new Map<CheckName, number>();
  /** The first check that did not hold. It is kept, not thrown: callbacks of the broker's find it too. */
  violation: Violation | null = null;
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  get nowMs(): number {
    return this.clock.nowMs();
  }

  note(line: string): void {
    this.lines.push(`${this.clock.monotonicMs().toFixed(3)} ${line}`);
  }

  /** Holds an invariant. `detail` is asked for only when it is broken. */
  check(name: CheckName, holds: boolean, detail: () => string): void {
    this.looked.set(name, (this.looked.get(name) ?? 0) + 1);
    if (holds || this.violation !== null) return;
    this.violation = new Violation(name, detail());
    this.note(`VIOLATED ${this.violation.message}`);
  }

  /** The same program and seed give the same digest. */
  digest(): string {
    return createHash("sha256").update(this.lines.join("\n")).digest("hex");
  }
}
