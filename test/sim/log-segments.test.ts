/** Segments that leave a log while it is read, and directories that leave their name, on a disk that does not always let them. */
import { describe, expect, test } from "bun:test";
import { isStored, releaseChunks } from "../../src/bytes/chunks.ts";
import { removeOldest } from "../../src/log/log-segments.ts";
import { sent } from "./broker-world.ts";
import { DATA_PATH, endOf, isKafkaError, LogWorld, type ModelLog } from "./log-world.ts";

async function filled(config = {}): Promise<{ world: LogWorld; a: ModelLog }> {
  const world = new LogWorld({
    seed: 5,
    config,
    logConfig: { segmentBytes: 1000, indexIntervalBytes: 100, fileDeleteDelayMs: 500 },
  });
  await world.start();
  const a = await world.create("a");
  for (let i = 0; i < 40; i++) world.append(a, { producerId: 1, sequence: i, records: 1, valueBytes: 60 });
  await world.clock.advance(2000);
  return { world, a };
}

/** The log begins with its segment `count`. */
function drop(a: ModelLog, count: number): void {
  const log = a.log!;
  log.logStartOffset = log.segments[count]!.baseOffset;
  removeOldest(log, count);
}

const files = (world: LogWorld): string[] => world.disk.list(`${DATA_PATH}/a-0`)!.map(({ name }) => name);
const directories = (world: LogWorld): string[] =>
  world.disk
    .list(DATA_PATH)!
    .filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name);

describe("segments that leave a log", () => {
  test("are out of it at once; their files have another name, and go after the delay", async () => {
    const { world, a } = await filled();
    const log = a.log!;
    const [first, second, third] = log.segments;
    drop(a, 2);
    expect(log.segments[0]).toBe(third!);
    const gone = files(world).filter((name) => name.endsWith(".deleted"));
    expect(gone).toContain("00000000000000000000.log.deleted");
    for (const base of [first!.baseOffset, second!.baseOffset])
      expect(files(world).filter((name) => name.startsWith(`${base}`.padStart(20, "0")) && !gone.includes(name))).toEqual([]);
    // log, index, timeindex of both, and the snapshot and the windows of the second
    expect(gone.length).toBe(8);
    await world.clock.advance(490);
    expect(files(world)).toEqual(expect.arrayContaining(gone));
    await world.clock.advance(20);
    expect(files(world).filter((name) => name.endsWith(".deleted"))).toEqual([]);
    expect(() => log.read(0, { limitOffset: 40, maxBytes: 1, atLeastOne: true })).toThrow("we only have log segments");
  });

  test("give an answer that is on its way its bytes, however late it is sent", async () => {
    const { world, a } = await filled();
    const log = a.log!;
    const limits = { limitOffset: 40, maxBytes: 2000, atLeastOne: true };
    const wanted = Buffer.concat((await world.clock.run(Promise.resolve(log.read(0, limits)))).chunks);
    const { chunks, bytes } = await world.clock.run(Promise.resolve(log.readStored(0, limits)));
    expect(chunks.some(isStored)).toBe(true);
    drop(a, 2);
    await world.clock.advance(10_000);
    expect(Buffer.concat(await world.clock.run(sent(chunks))).equals(wanted)).toBe(true);
    expect(bytes).toBe(wanted.length);
    const before = world.disk.openFiles;
    releaseChunks(chunks);
    expect(world.disk.openFiles).toBe(before - 1);
  });

  test("answers beyond the bound on open files hold their bytes in memory; all of them are right", async () => {
    const { world, a } = await filled({ openFilesMax: 2 });
    const log = a.log!;
    const answers = [];
    for (const { baseOffset } of log.segments) {
      const limits = { limitOffset: 40, maxBytes: 200, atLeastOne: true };
      const wanted = Buffer.concat((await world.clock.run(Promise.resolve(log.read(baseOffset, limits)))).chunks);
      const read = await world.clock.run(Promise.resolve(log.readStored(baseOffset, limits)));
      answers.push({ wanted, chunks: read.chunks });
    }
    const kinds = new Set(answers.map(({ chunks }) => chunks.every(isStored)));
    expect([...kinds].sort()).toEqual([false, true]);
    for (const { wanted, chunks } of answers) {
      expect(Buffer.concat(await world.clock.run(sent(chunks))).equals(wanted)).toBe(true);
      releaseChunks(chunks);
    }
    await world.stop();
    expect(world.disk.openFiles).toBe(0);
  });

  test("give a read that is under way its bytes, or OFFSET_OUT_OF_RANGE: never a foreign byte, never an error of the disk", async () => {
    for (let after = 0; after < 0.6; after += 0.01) {
      const { world, a } = await filled();
      const log = a.log!;
      const offset = log.segments[1]!.baseOffset - 1;
      world.disk.isHot = () => false;
      let outcome = "";
      const read = Promise.resolve(log.read(offset, { limitOffset: 40, maxBytes: 200, atLeastOne: true }));
      read.then(
        ({ chunks }) => {
          const expected = a.batches[offset]!.bytes;
          outcome = Buffer.from(chunks[0]!).subarray(0, expected.length).equals(expected) ? "bytes" : "garbage";
        },
        (error) => {
          outcome = isKafkaError(error, "OFFSET_OUT_OF_RANGE") ? "out of range" : String(error);
        },
      );
      await world.clock.advance(after);
      const early = outcome;
      drop(a, 2);
      await world.clock.advance(1000);
      expect(outcome, `${after}`).toBe(early === "" ? "out of range" : "bytes");
      await world.stop();
    }
  });

  test("that leave between a check and its answer are no error of the disk either", async () => {
    const { world, a } = await filled();
    await world.stop();
    world.clock.reset();
    await world.start(); // nothing is checked yet
    world.disk.isHot = () => false;
    const { reader } = a.log!;
    const read = reader.read.bind(reader);
    reader.read = async (offset, limits) => {
      const checked = await read(offset, limits);
      if (a.log!.logStartOffset === 0) drop(a, 2);
      return checked;
    };
    const late = Promise.resolve(a.log!.readStored(1, { limitOffset: 40, maxBytes: 200, atLeastOne: true }));
    const outcome = late.then(
      ({ bytes }) => `${bytes} bytes`,
      (error) => (isKafkaError(error, "OFFSET_OUT_OF_RANGE") ? "out of range" : String(error)),
    );
    expect(await world.clock.run(outcome)).toBe("out of range");
    await world.stop();
  });

  test("do not stop a search by time", async () => {
    for (let after = 0; after < 0.6; after += 0.02) {
      const { world, a } = await filled();
      world.disk.isHot = () => false;
      const search = a.log!.offsetForTimestamp(a.batches[0]!.timestamps[0]!, 40);
      search.catch(() => {});
      await world.clock.advance(after);
      drop(a, 2);
      const found = await world.clock.run(search);
      expect(found === null ? -1 : found.offset, `${after}`).toBeGreaterThanOrEqual(0);
      await world.stop();
    }
  });

  test("whose files cannot be renamed are tried again", async () => {
    const { world, a } = await filled();
    const log = a.log!;
    world.disk.fault = (operation) => (operation === "rename" ? { code: "EIO" } : null);
    drop(a, 1);
    world.disk.fault = null;
    expect(log.leftBehind).toEqual([0]);
    expect(files(world)).toContain("00000000000000000000.log");
    drop(a, 1);
    expect(log.leftBehind).toEqual([]);
    await world.clock.advance(1000);
    expect(files(world)).not.toContain("00000000000000000000.log");
    expect(endOf(a)).toBe(log.logEndOffset);
  });
});

describe("a directory that leaves its name", () => {
  test("is tried again until the disk lets it, and nobody hears of its end before", async () => {
    const { world, a } = await filled();
    let isGone = false;
    world.disk.fault = (operation) => (operation === "rename" ? { code: "EIO" } : null);
    world.directory!.deleteLog(a.log!).then(() => {
      isGone = true;
    });
    await world.clock.advance(5000);
    expect(isGone).toBeFalse();
    expect(directories(world)).toContain("a-0");
    world.disk.fault = null;
    await world.clock.advance(1100);
    expect(isGone).toBeTrue();
    await world.clock.advance(100);
    expect(directories(world).filter((name) => name.startsWith("a-0"))).toEqual([]);
  });

  test("is left alone once it is the next topic's of that name", async () => {
    const { world, a } = await filled();
    world.disk.fault = (operation) => (operation === "rename" ? { code: "EIO" } : null);
    world.directory!.deleteLog(a.log!);
    await world.clock.advance(10);
    world.disk.fault = null;
    Object.assign(a, { topicId: world.newTopicId(), batches: [], durableEnd: 0 });
    await world.open(a);
    world.append(a);
    await world.clock.advance(5000);
    expect(directories(world)).toEqual(["a-0"]);
    await world.check(a);
  });

  test("is left alone also if it becomes that while it waits for its turn to be tried again", async () => {
    const world = new LogWorld({ seed: 5 });
    await world.start();
    const { clock, disk } = world;
    const models = [];
    for (let i = 0; i < 40; i++) models.push(await world.create(`t${i}`));
    for (const model of models) world.append(model);
    await clock.advance(2000);
    const directory = world.directory!;
    disk.fault = (operation) => (operation === "rename" ? { code: "EIO" } : null);
    for (const { log } of models) directory.deleteLog(log!);
    await clock.advance(10);
    disk.fault = null;
    const last = models.at(-1)!;
    Object.assign(last, { topicId: world.newTopicId(), batches: [], durableEnd: 0 });
    // Behind the second tries of all, of which only some are made at once.
    clock.schedule(990, () => {
      directory.openLog({ topic: last.topic, partition: 0, topicId: last.topicId, config: world.logConfig }).then((log) => {
        last.log = log;
        world.append(last);
      });
    });
    await clock.advance(5000);
    expect(world.fatal).toBeNull();
    expect(directories(world)).toEqual([`${last.topic}-0`]);
    await world.check(last);
  });

  test("is not looked for under it by the round that is to come", async () => {
    const { world, a } = await filled();
    const b = await world.create("b");
    world.append(a);
    await world.clock.advance(0); // a round is under way
    world.append(b); // makes the directory: its name is for the next round
    await world.clock.run(world.directory!.deleteLog(b.log!));
    await world.clock.advance(100);
    expect(world.fatal).toBeNull();
    expect(directories(world)).toEqual(["a-0"]);
    await world.check(a);
  });
});
