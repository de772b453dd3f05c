/** The bounded share of the tortures: a run of each, from a seed that is new each day. `npm run torture` goes on for longer. */

import { expect, test } from "bun:test";
import { SeededRandom } from "../sim/seeded-random.ts";
import { targetKind } from "../support/target.ts";
import { tortures } from "./list.ts";
import { perform } from "./perform.ts";

const seed = Math.floor(Date.now() / 86_400_000);
if (targetKind === "binary") {
  for (const torture of tortures) {
    const missing = (await torture.missing?.()) ?? null;
    test.if(missing === null)(
      torture.name,
      async () => {
        const options = { seed, random: new SeededRandom(seed), cycles: torture.cycles.bounded, deadlineMs: Date.now() + 12_000 };
        const said = await perform(torture, options);
        console.log(`${torture.name} --seed ${seed}: ${said}`);
        expect(said).not.toBe("");
      },
      60_000,
    );
  }
}
