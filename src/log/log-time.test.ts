/** Searches by time while others write, and over what compaction left; on a simulated disk and clock. */
import { expect, test } from "bun:test";
import { LogWorld, type ModelLog, validBatch } from "../../test/sim/log-world.ts";
import { buildBatch } from "../record/build.ts";
import { emptiedBatch } from "../record/filter.ts";

const HOUR_MS = 3_600_000;

/** A log of one segment: first the record with the largest timestamp by far, then five others. */
async function newestFirst(): Promise<{ world: LogWorld; a: ModelLog; newestMs: number }> {
  const world = new LogWorld({ seed: 1, logConfig: { segmentBytes: 1_000_000 } });
  await world.start();
  const a = await world.create("a");
  world.clock.jump(HOUR_MS);
  const newest = world.append(a, { records: 1, valueBytes: 40 });
  world.clock.jump(-HOUR_MS);
  for (let i = 0; i < 5; i++) world.append(a, { records: 1, valueBytes: 40 });
  await world.clock.advance(100);
  return { world, a, newestMs: newest.timestamps[0]! };
}

test("what is appended while a search has come to the end is not searched: it may be a batch of any size", async () => {
  for (let after = 0; after < 0.4; after += 0.01) {
    const { world, a, newestMs } = await newestFirst();
    const log = a.log!;
    await world.clock.run(log.moveStart(1)); // what the search would find is gone
    const search = log.offsetForTimestamp(newestMs, log.logEndOffset);
    search.catch(() => {});
    await world.clock.advance(after);
    world.append(a, { records: 3, valueBytes: 60 });
    expect(await world.clock.run(search), `${after}`).toBeNull();
    await world.stop();
  }
});

test("the largest timestamp is nobody's when only a batch without records has it", async () => {
  const { world, a, newestMs } = await newestFirst();
  const log = a.log!;
  expect((await world.clock.run(log.offsetOfMaxTimestamp(log.logEndOffset)))?.offset).toBe(0);
  const records = [{ key: Buffer.from("k"), value: null, timestampMs: newestMs + 1 }];
  const bytes = buildBatch({ records, producerId: 1, producerEpoch: 0, baseSequence: 0 });
  log.append(validBatch(emptiedBatch(bytes, 0)), world.epoch);
  await world.clock.advance(100);
  expect(await world.clock.run(log.offsetOfMaxTimestamp(log.logEndOffset))).toBeNull();
  await world.stop();
});
