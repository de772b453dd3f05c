/** Bytes change anywhere in a data directory: a start refuses, a partition goes offline, a read is answered with an error, but no wrong byte is served. */
import { describe, expect, test } from "bun:test";
import { DataDirectoryError } from "../../src/log/log-directory.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { baseOffset, batchBytes, lastOffset } from "../../src/record/batch.ts";
import { DATA_PATH, endOf, LogWorld, type ModelLog } from "./log-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 150);

async function filled(seed: number): Promise<{ world: LogWorld; model: ModelLog }> {
  const world = new LogWorld({
    seed,
    config: {},
    logConfig: { segmentBytes: 2000, indexIntervalBytes: 200 },
    hotChance: seed % 2,
  });
  await world.start();
  const model = await world.create("a");
  for (let i = 0; i < 30; i++) {
    world.append(model, {
      producerId: i % 3,
      sequence: model.batches.filter((batch) => batch.producerId === i % 3).length,
      records: 1,
      valueBytes: 20 + i * 4,
    });
    if (i % 3 === 0) await world.clock.advance(4);
  }
  await world.clock.advance(seed % 4 === 0 ? 0 : 100);
  if (seed % 2 === 0) await world.stop();
  else world.crash("kill");
  return { world, model };
}

/** Flips bits in some bytes of some files; not in the leader epochs of batches, which nothing covers, as in Kafka. */
function damage(world: LogWorld, model: ModelLog): void {
  const files = ["", "/a-0"].flatMap((directory) =>
    world.disk
      .list(DATA_PATH + directory)!
      .filter((entry) => !entry.isDirectory)
      .map((entry) => `${DATA_PATH}${directory}/${entry.name}`),
  );
  for (let i = 1 + world.random.int(3); i > 0; i--) {
    const path = world.random.pick(files);
    const file = world.disk.open(path, "read");
    const size = file.size();
    file.close();
    const at = world.random.int(Math.max(1, size));
    if (path.endsWith(".log") && isEpoch(model, path, at)) continue;
    world.disk.damage(path, at, 1 << world.random.int(8));
  }
}

function isEpoch(model: ModelLog, path: string, at: number): boolean {
  const base = Number(/(\d{20})\.log$/.exec(path)![1]);
  let position = 0;
  for (const batch of model.batches.filter(({ baseOffset: first }) => first >= base)) {
    if (at >= position + 12 && at < position + 16) return true;
    position += batch.bytes.length;
  }
  return false;
}

/** Reads everything there is, past errors; every batch that comes must be the one that was written. */
async function readAll(world: LogWorld, model: ModelLog): Promise<number> {
  const log = model.log!;
  let errors = 0;
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    try {
      const read = log.read(offset, { limitOffset: log.logEndOffset, maxBytes: world.random.pick([1, 1000]), atLeastOne: true });
      const { chunks, bytes } = read instanceof Promise ? await world.clock.run(read) : read;
      if (bytes === 0) break;
      const b = Buffer.concat(chunks);
      for (let at = 0; at < b.length; at += batchBytes(b, at)) {
        const written = model.batches.find((batch) => batch.baseOffset === baseOffset(b, at));
        expect(written?.bytes.equals(b.subarray(at, at + batchBytes(b, at)))).toBeTrue();
        expect(lastOffset(b, at)).toBeGreaterThanOrEqual(offset);
        offset = lastOffset(b, at) + 1;
      }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      expect(["CORRUPT_MESSAGE", "KAFKA_STORAGE_ERROR"]).toContain(error.error);
      errors++;
      offset++;
    }
  }
  return errors;
}

describe("damage anywhere", () => {
  for (let seed = 1; seed <= SEEDS; seed++)
    test(`seed ${seed}`, async () => {
      const { world, model } = await filled(seed);
      damage(world, model);
      try {
        await world.start();
      } catch (error) {
        expect(error).toBeInstanceOf(DataDirectoryError);
        return;
      }
      const log = model.log!;
      if (log.offline !== null) {
        expect(log.offline).toContain(DATA_PATH);
        return;
      }
      expect(log.logEndOffset).toBeLessThanOrEqual(endOf(model));
      await readAll(world, model);
      for (const timestampMs of [0, model.batches[10]!.timestamps[0]!]) {
        const found = log.offsetForTimestamp(timestampMs, log.logEndOffset);
        await world.clock.run(found).catch((error) => expect(error).toBeInstanceOf(KafkaError));
      }
      model.batches = model.batches.filter((batch) => batch.lastOffset < log.logEndOffset);
      if (model.batches.length > 0 && endOf(model) === log.logEndOffset) world.append(model, { records: 1 });
      await world.clock.advance(50);
      expect(world.fatal).toBeNull();
      await world.stop();
    });
});
