/** `npm run torture`: one torture after the other, each run with a new seed, until the time is over or something is found. */

import { SeededRandom } from "../sim/seeded-random.ts";
import { tortures } from "./list.ts";
import { cleanUpOnSignals, perform } from "./perform.ts";
import type { Torture } from "./torture.ts";

function usage(fault: string): never {
  console.error(`npm run torture: ${fault}
  npm run torture -- --minutes N [--only NAME] [--seed S] [--cycles C]
  Names: ${tortures.map((torture) => torture.name).join(" ")}`);
  process.exit(2);
}

function parse(): { minutes: number; chosen: Torture[]; seed: number | null; cycles: number | null } {
  const given = new Map<string, string>();
  for (let i = 2; i < process.argv.length; i += 2) given.set(process.argv[i]!, process.argv[i + 1] ?? "");
  const number = (name: string) => {
    const text = given.get(name);
    given.delete(name);
    if (text !== undefined && !(Number(text) >= 0 && text !== "")) usage(`${name} wants a number`);
    return text === undefined ? null : Number(text);
  };
  const [minutes, seed, cycles] = [number("--minutes") ?? 10, number("--seed"), number("--cycles")];
  const only = given.get("--only");
  given.delete("--only");
  if (given.size > 0) usage(`what is ${[...given.keys()][0]}?`);
  const names = only?.split(",") ?? tortures.map((torture) => torture.name);
  const chosen = names.map((name) => tortures.find((torture) => torture.name === name) ?? usage(`there is no ${name}`));
  return { minutes, chosen, seed, cycles };
}

const { minutes, chosen, seed, cycles } = parse();
cleanUpOnSignals();
const endMs = Date.now() + minutes * 60_000;
const firstSeed = seed ?? Date.now() % 1_000_000_000;
const able: Torture[] = [];
for (const torture of chosen) {
  const reason = (await torture.missing?.()) ?? null;
  if (reason === null) able.push(torture);
  else console.log(`skipped: ${torture.name}: ${reason}`);
}
let runs = 0;
for (let round = 0; able.length > 0 && (round === 0 || Date.now() < endMs); round++) {
  for (const torture of able) {
    if (runs > 0 && Date.now() >= endMs) break;
    const use = firstSeed + round;
    const startMs = Date.now();
    try {
      const said = await perform(torture, {
        seed: use,
        cycles: cycles ?? torture.cycles.endless,
        random: new SeededRandom(use),
        deadlineMs: endMs,
      });
      console.log(`${torture.name} --seed ${use}: ${said} in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
      runs++;
    } catch (error) {
      console.log(`FOUND by ${torture.name}: ${error instanceof Error ? error.stack : error}`);
      console.log(`again: npm run torture -- --only ${torture.name} --seed ${use} --minutes 1`);
      console.log("(QUARKMQ_E2E_KEEP=1 keeps the broker's directory and log under .cache/data)");
      process.exit(1);
    }
  }
}
console.log(`${runs} runs, nothing found`);
process.exit(0);
