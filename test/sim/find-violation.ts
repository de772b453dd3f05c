/** Runs histories until one breaks an invariant: `bun find-violation.ts FIRST COUNT`. Prints one line of JSON: the seed and the check, or null. */
import { simulate } from "./simulation.ts";

const [first, count] = process.argv.slice(2).map(Number) as [number, number];
let found: { seed: number; check: string; message: string } | null = null;
for (let seed = first; seed < first + count && found === null; seed++) {
  const { violation } = await simulate(seed);
  if (violation !== null) found = { seed, check: violation.check, message: violation.message };
}
console.log(JSON.stringify(found));
process.exit(0); // whatever a broken broker still waits for
