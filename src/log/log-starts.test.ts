import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { type Logger, silentLogger } from "../base/logger.ts";
import { readWholeFile } from "../io/disk.ts";
import { LogStarts } from "./log-starts.ts";
import { SyncRounds } from "./sync-rounds.ts";

const FILE = "/data/quarkmq-log-starts";
const place = (n: number) => ({ topicId: Buffer.alloc(16, n).toString("base64url"), partition: n });

function world(seed = 1) {
  const clock = new FakeClock();
  const disk = new FakeDisk({ random: new SeededRandom(seed), clock });
  disk.makeDirectory("/data");
  const fatal: unknown[] = [];
  const open = (logger: Logger = silentLogger): LogStarts => {
    const rounds = new SyncRounds({
      disk,
      path: "/data",
      syncFileSystemAbove: 8,
      clock,
      leisureMs: 100,
      onFatal: (error) => fatal.push(error),
    });
    const starts = new LogStarts({ disk, logger, rounds, dataPath: "/data" });
    starts.open();
    return starts;
  };
  return { clock, disk, fatal, open };
}

test("what it said is durable outlives a power cut; at any moment the file is the old or the new one", async () => {
  for (let afterMs = 0; afterMs < 8; afterMs += 0.25) {
    const { clock, disk, open } = world(afterMs * 4);
    await clock.run(disk.syncDirectory("/"));
    const starts = open();
    await clock.run(starts.raise(place(1), 10));
    let said = 10;
    starts.raise(place(1), 20).then(() => {
      said = 20;
    });
    await clock.advance(afterMs);
    disk.cutPower();
    const found = open().get(place(1));
    if (said === 20) expect(found).toBe(20);
    else expect([10, 20]).toContain(found);
  }
});

test("moves that come together are written together; of one log's the farthest counts", async () => {
  const { clock, disk, open } = world();
  const starts = open();
  await clock.run(starts.raise(place(9), 1));
  const before = disk.calls;
  await clock.run(Promise.all([starts.raise(place(1), 5), starts.raise(place(2), 6), starts.raise(place(1), 4)]));
  const together = disk.calls - before;
  await clock.run(starts.raise(place(3), 7));
  expect(together).toBe(disk.calls - before - together);
  expect([1, 2, 3, 9, 4].map((n) => open().get(place(n)))).toEqual([5, 6, 7, 1, 0]);
  await clock.run(starts.raise(place(1), 2));
  expect(open().get(place(1))).toBe(5);
  await clock.run(starts.reset(place(1), 2));
  expect(open().get(place(1))).toBe(2);
  starts.forget(place(1));
  await clock.run(starts.raise(place(2), 8));
  expect([1, 2].map((n) => open().get(place(n)))).toEqual([0, 8]);
});

test("a refused write changes nothing, a failed sync ends the process", async () => {
  const { clock, disk, open, fatal } = world();
  const starts = open();
  await clock.run(starts.raise(place(1), 5));
  disk.fault = (operation) => (operation === "rename" ? { code: "EIO" } : null);
  expect(await clock.run(starts.raise(place(1), 6).catch(({ code }) => code))).toBe("EIO");
  expect([starts.get(place(1)), open().get(place(1))]).toEqual([5, 5]);
  expect(fatal).toEqual([]);
  disk.fault = (operation) => (operation === "fdatasync" ? { code: "EIO" } : null);
  expect(await clock.run(starts.raise(place(1), 6).catch(({ code }) => code))).toBe("EIO");
  expect(fatal.length).toBe(1);
});

test("its bytes, by hand; damage is told of, a newer version refuses the start", async () => {
  const { clock, disk, open } = world();
  await clock.run(open().raise(place(1), 258));
  const bytes = Buffer.from(readWholeFile(disk, FILE)!);
  expect(bytes.subarray(0, -4).toString("hex")).toBe(
    `${Buffer.from("qpls").toString("hex")}0001${"00000001"}${"01".repeat(16)}${"00000001"}${"0000000000000102"}`,
  );
  const told: string[] = [];
  const logger = { ...silentLogger, error: (message: string) => told.push(message) };
  disk.damage(FILE, 20);
  expect(open(logger as Logger).get(place(1))).toBe(0);
  expect(told).toEqual([expect.stringContaining("damaged")]);
  disk.damage(FILE, 5, 3);
  expect(() => open()).toThrow("knows up to 1");
});

test("after its close nothing is taken any more, and what was under way is done", async () => {
  const { clock, open } = world();
  const starts = open();
  const moving = starts.raise(place(1), 5);
  await clock.run(starts.close());
  await moving;
  expect(starts.raise(place(1), 6)).rejects.toThrow("closed");
});
