/** Damage of every kind, and what a start makes of it: by name, on a simulated disk. */
import { describe, expect, test } from "bun:test";
import { readWholeFile } from "../../src/io/disk.ts";
import type { Log } from "../../src/log/log.ts";
import { LogDirectory } from "../../src/log/log-directory.ts";
import { DATA_PATH, endOf, LogWorld, type ModelLog } from "./log-world.ts";

const SEGMENT_0 = "00000000000000000000";

/** A world with logs "a" and "b", some segments each, everything durable. */
async function filled(batches = 40): Promise<{ world: LogWorld; a: ModelLog; b: ModelLog }> {
  const world = new LogWorld({
    seed: 5,
    config: { openFilesMax: 1000 }, // what is left open stays so
    logConfig: { segmentBytes: 2000, indexIntervalBytes: 200 },
  });
  await world.start();
  const a = await world.create("a");
  const b = await world.create("b");
  for (let i = 0; i < batches; i++) {
    world.append(a, { producerId: 1, sequence: i, records: 1, valueBytes: 50 + i });
    world.append(b, { records: 2 });
    await world.clock.advance(4);
  }
  await world.clock.advance(2000);
  if (batches > 20) expect(a.log!.segments.length).toBeGreaterThan(2);
  return { world, a, b };
}

const names = (world: LogWorld, directory: string): string[] =>
  (world.disk.list(`${DATA_PATH}/${directory}`) ?? []).map(({ name }) => name);

function appendToFile(world: LogWorld, path: string, bytes: Uint8Array): number {
  const file = world.disk.open(path, "write");
  const size = file.size();
  file.write(bytes, size);
  file.close();
  return size;
}

const sizeOf = (world: LogWorld, path: string): number => readWholeFile(world.disk, path)!.length;

async function readAt(world: LogWorld, log: Log, offset: number): Promise<string> {
  try {
    const read = log.read(offset, { limitOffset: log.logEndOffset, maxBytes: 1, atLeastOne: true });
    const { bytes } = read instanceof Promise ? await world.clock.run(read) : read;
    return `${bytes > 0 ? "data" : "nothing"}`;
  } catch (error) {
    return (error as { error?: string }).error === undefined
      ? String(error)
      : `${(error as { error: string }).error}: ${(error as Error).message}`;
  }
}

describe("above the recovery point", () => {
  test("a torn batch ends the log; the rest is moved aside under a name that is no log's, and the log goes on", async () => {
    const { world, a } = await filled();
    const active = a.log!.active!.path;
    const end = endOf(a);
    world.crash("kill");
    const garbage = Buffer.from(
      "this is the beginning of a batch that never came to its end, and some more bytes to fill a header",
    );
    const size = appendToFile(world, active, garbage);
    await world.start();
    world.adopt(a, "clean");
    expect(sizeOf(world, active)).toBe(size);
    const aside = names(world, "a-0").filter((name) => name.includes(".cut-"));
    expect(aside).toEqual([expect.stringMatching(new RegExp(`^\\d{20}\\.log\\.${end}\\.cut-\\d{13}$`))]);
    expect(Buffer.from(readWholeFile(world.disk, `${DATA_PATH}/a-0/${aside[0]}`)!)).toEqual(garbage);
    world.append(a, { producerId: 1, sequence: 40 });
    await world.checkAll();
  });

  test("zeros behind the end, as file systems leave them, are cut and not kept", async () => {
    const { world, a } = await filled();
    world.crash("kill");
    const size = appendToFile(world, a.log!.active!.path, Buffer.alloc(5000));
    await world.start();
    world.adopt(a, "clean");
    expect(sizeOf(world, a.log!.active!.path)).toBe(size);
    expect(names(world, "a-0").filter((name) => name.includes(".cut-"))).toEqual([]);
    await world.checkAll();
  });

  test("a whole batch with another offset is no continuation", async () => {
    const { world, a } = await filled();
    const stale = a.batches[3]!.bytes;
    world.crash("kill");
    appendToFile(world, a.log!.active!.path, stale);
    await world.start();
    world.adopt(a, "clean");
    await world.checkAll();
  });

  test("segments behind a cut are moved aside whole, and the producers know only what is left", async () => {
    const { world, a } = await filled(1);
    world.disk.cutPower = world.disk.kill; // only the process dies here
    const damagedAt = a.batches[0]!.bytes.length;
    for (let i = 1; i < 60; i++) world.append(a, { producerId: 1, sequence: i, records: 1 }); // never synced
    const first = a.log!.segments[0]!.path;
    expect(a.log!.segments.length).toBeGreaterThan(2);
    world.crash("kill");
    world.disk.damage(first, damagedAt + 70);
    await world.start();
    expect(a.log!.logEndOffset).toBe(1);
    a.batches.length = 1;
    expect(a.log!.segments.length).toBe(1);
    expect(names(world, "a-0").filter((name) => name.endsWith(".log"))).toEqual([`${SEGMENT_0}.log`]);
    expect(names(world, "a-0").filter((name) => name.includes(".cut-")).length).toBeGreaterThan(2);
    world.append(a, { producerId: 1, sequence: 1 });
    await world.checkAll();
  });
});

describe("below the recovery point", () => {
  test("a flipped bit in cold data is answered with an error that names file and offset; nothing else suffers, nothing is cut", async () => {
    const { world, a, b } = await filled();
    await world.stop();
    const path = `${DATA_PATH}/a-0/${SEGMENT_0}.log`;
    const size = sizeOf(world, path);
    world.disk.damage(path, a.batches[0]!.bytes.length + 70);
    await world.start();
    expect(await readAt(world, a.log!, 0)).toBe("data");
    const answer = await readAt(world, a.log!, 1);
    expect(answer).toStartWith("CORRUPT_MESSAGE");
    expect(answer).toContain(path);
    expect(answer).toContain("offset 1");
    expect(await readAt(world, a.log!, 2)).toBe("data");
    expect(await readAt(world, a.log!, 1)).toStartWith("CORRUPT_MESSAGE");
    expect(sizeOf(world, path)).toBe(size);
    await world.check(b);
    world.append(a, { producerId: 1, sequence: 40 });
  });

  test("a read that begins before the flipped bit ends before it", async () => {
    const { world, a } = await filled();
    await world.stop();
    world.disk.damage(`${DATA_PATH}/a-0/${SEGMENT_0}.log`, a.batches[0]!.bytes.length + 70);
    await world.start();
    const read = await a.log!.read(0, { limitOffset: 100, maxBytes: 1500, atLeastOne: true });
    expect(read.bytes).toBe(a.batches[0]!.bytes.length);
  });

  test("a file that ends before what was synced: that partition is offline and says where; the others serve", async () => {
    const { world, a, b } = await filled();
    const active = a.log!.active!.path;
    world.crash("kill");
    const file = world.disk.open(active, "write");
    file.truncate(10);
    file.close();
    await world.start();
    expect(a.log!.offline).toContain(active);
    expect(a.log!.offline).toContain("byte 10");
    expect(() => world.append(a)).toThrow("offline");
    expect(await readAt(world, a.log!, 0)).toStartWith("KAFKA_STORAGE_ERROR");
    world.adopt(b, "clean");
    await world.check(b);
    expect(sizeOf(world, active)).toBe(10);
    await world.stop();
  });

  test("a broken header that recovery walks over: offline, nothing cut", async () => {
    const { world, a } = await filled();
    const active = a.log!.active!;
    world.crash("kill");
    world.disk.damage(active.path, 16, 0xff); // the magic of the active segment's first batch
    world.disk.remove(active.pathOf(".index"));
    await world.start();
    expect(a.log!.offline).toContain(`${active.path}, offset ${active.baseOffset}, byte 0`);
  });

  test("a missing last segment: offline. A missing one in between: a gap that readers pass over", async () => {
    const { world, a, b } = await filled();
    const [, second, third] = b.log!.segments;
    world.crash("kill");
    world.disk.remove(a.log!.active!.path);
    world.disk.remove(second!.path);
    await world.start();
    expect(a.log!.offline).toContain("no segment");
    expect(b.log!.offline).toBeNull();
    const read = b.log!.read(second!.baseOffset, { limitOffset: 1000, maxBytes: 1, atLeastOne: true });
    const { chunks } = read instanceof Promise ? await world.clock.run(read) : read;
    expect(Buffer.from(chunks[0]!).readBigInt64BE(0)).toBe(BigInt(third!.baseOffset));
  });

  test("a whole directory that is gone although it was synced: offline, not empty", async () => {
    const { world, a } = await filled();
    await world.stop();
    world.disk.removeTree(`${DATA_PATH}/a-0`);
    await world.start();
    expect(a.log!.offline).toContain("missing");
  });
});

describe("indexes", () => {
  const damage: [string, (world: LogWorld, path: string) => void][] = [
    ["missing", (world, path) => world.disk.remove(path)],
    ["of an impossible size", (world, path) => void appendToFile(world, path, Buffer.alloc(5))],
    ["with a wrong entry", (world, path) => world.disk.damage(path, 7, 0x55)],
    ["zero", (world, path) => overwrite(world, path, (size) => Buffer.alloc(size))],
    ["random", (world, path) => overwrite(world, path, (size) => Buffer.from(world.random.bytes(size)))],
    [
      "longer than the data",
      (world, path) => void appendToFile(world, path, Buffer.from("7fffff007fffff007fffff017fffff017fffff027fffff02", "hex")),
    ],
  ];
  const overwrite = (world: LogWorld, path: string, make: (size: number) => Buffer): void => {
    const file = world.disk.open(path, "write");
    file.write(make(file.size()), 0);
    file.close();
  };
  for (const [what, break_] of damage)
    for (const how of ["clean", "kill"] as const)
      for (const suffix of [".index", ".timeindex"])
        test(`${suffix} ${what}, after ${how}: everything is found all the same`, async () => {
          const { world, a } = await filled();
          const paths = a.log!.segments.map((segment) => segment.pathOf(suffix));
          if (how === "clean") await world.stop();
          else world.crash("kill");
          // After a clean shutdown a time index is believed if it can be right: there is nothing to check it with but all of the data.
          const believed = how === "clean" && suffix === ".timeindex" && !["missing", "of an impossible size"].includes(what);
          for (const path of paths) if (!believed && world.disk.exists(path)) break_(world, path);
          await world.start();
          world.adopt(a, "clean");
          await world.checkAll();
          await world.stop();
          await world.start();
          await world.checkAll();
        });
});

describe("the data directory", () => {
  test("is one broker's at a time", async () => {
    const { world } = await filled(1);
    expect(world.start()).rejects.toThrow("in use by another process");
  });

  test("of a newer format is refused", async () => {
    const { world } = await filled(1);
    await world.stop();
    const path = `${DATA_PATH}/quarkmq-recovery-points`;
    const file = world.disk.open(path, "write");
    file.write(Buffer.from([0, 2]), 4);
    file.close();
    expect(world.start()).rejects.toThrow(`${path} has version 2; this program knows up to 1`);
  });

  test("of another Kafka broker is refused", async () => {
    const world = new LogWorld({ seed: 1 });
    world.disk.makeDirectory(DATA_PATH);
    world.disk.open(`${DATA_PATH}/meta.properties`, "create").close();
    expect(world.start()).rejects.toThrow("import");
  });

  test("that cannot be written is refused with a message", async () => {
    const world = new LogWorld({ seed: 1 });
    world.disk.fault = () => ({ code: "EROFS" });
    expect(world.start()).rejects.toThrow("cannot be used as data directory");
  });

  test("remembers the incarnation over a clean shutdown only", async () => {
    const { world } = await filled(1);
    expect(world.directory!.lastCleanShutdown).toBeNull();
    world.directory!.setIncarnation(12);
    await world.stop();
    await world.start();
    expect(world.directory!.lastCleanShutdown).toEqual({ incarnation: 12 });
    world.crash("power");
    await world.start();
    expect(world.directory!.lastCleanShutdown).toBeNull();
  });

  test("a directory that another topic of the same name left behind is removed", async () => {
    const { world, a } = await filled();
    await world.stop();
    a.topicId = world.newTopicId();
    a.batches = [];
    a.durableEnd = 0;
    await world.start();
    expect(a.log!.logEndOffset).toBe(0);
    world.append(a);
    await world.clock.advance(100);
    expect(world.directory!.unclaimed()).toEqual([]);
    expect(names(world, "").filter((name) => name.endsWith("-delete"))).toEqual([]);
    await world.checkAll();
  });

  test("tells which directories no log was opened for", async () => {
    const { world, a, b } = await filled();
    await world.stop();
    world.logs.splice(world.logs.indexOf(b), 1);
    world.disk.makeDirectory(`${DATA_PATH}/c-7`);
    await world.start();
    const left = [
      { topic: "b", partition: 0, topicId: b.topicId, isArriving: false },
      { topic: "c", partition: 7, topicId: null, isArriving: false },
    ];
    expect(world.directory!.unclaimed()).toEqual(left);
    for (const one of left) await world.clock.run(world.directory!.setAside(one));
    expect(world.directory!.unclaimed()).toEqual([]);
    world.crash("power");
    expect(names(world, "").filter((name) => name.endsWith("-stray")).length).toBe(2);
    await world.start();
    world.adopt(a, "power");
    await world.checkAll();
  });

  test("deleting a log in the middle of a round, and making it again at once", async () => {
    const { world, a } = await filled();
    world.append(a);
    await world.clock.advance(0);
    expect(a.log!.sync.inRound).toBeTrue();
    world.directory!.deleteLog(a.log!);
    expect(() => world.append(a)).toThrow("deleted");
    Object.assign(a, { topicId: world.newTopicId(), batches: [], durableEnd: 0 });
    await world.open(a);
    world.append(a);
    await world.clock.advance(100);
    expect(world.fatal).toBeNull();
    await world.checkAll();
    world.crash("power");
    await world.start();
    world.adopt(a, "power");
    expect(endOf(a)).toBe(a.log!.logEndOffset);
    await world.checkAll();
  });

  test("what a crash left of a deletion is removed by the next start", async () => {
    const { world, a, b } = await filled();
    world.directory!.deleteLog(a.log!);
    world.crash("kill");
    expect(names(world, "").filter((name) => name.endsWith("-delete")).length).toBe(1);
    world.logs.splice(world.logs.indexOf(a), 1);
    await world.start();
    await world.clock.advance(100);
    expect(names(world, "").filter((name) => name.includes("a-0"))).toEqual([]);
    await world.check(b);
  });

  test("is made durably, parents and all", async () => {
    const { world, a } = await filled(1);
    world.crash("power");
    await world.start();
    world.adopt(a, "power");
    expect(endOf(a)).toBe(1);
  });
});

test("LogDirectory.open lets go of the lock when it fails", async () => {
  const { world } = await filled(1);
  await world.stop();
  let calls = 0;
  world.disk.fault = (operation) => (operation === "fdatasync" && calls++ === 0 ? { code: "ENOSPC" } : null);
  expect(world.start()).rejects.toThrow("ENOSPC");
  await world.clock.advance(10);
  world.disk.fault = null;
  await world.start();
  expect(world.directory).toBeInstanceOf(LogDirectory);
});
