import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { silentLogger } from "../base/logger.ts";
import { readWholeFile } from "../io/disk.ts";
import { RecoveryPoints } from "./recovery-points.ts";
import { SyncRounds } from "./sync-rounds.ts";

const PATH = "/d/quarkmq-recovery-points";
const TOPIC = "MIaQ3KFXRQWNus0NmLcVhw";

async function place(intervalMs = 100) {
  const clock = new FakeClock();
  const disk = new FakeDisk({ random: new SeededRandom(1), clock });
  disk.makeDirectory("/d");
  await clock.run(disk.syncDirectory("/"));
  const start = async () => {
    const rounds = new SyncRounds({ disk, path: "/d", syncFileSystemAbove: 8, clock, leisureMs: 100, onFatal: () => {} });
    const points = new RecoveryPoints({ disk, clock, logger: silentLogger, rounds, dataPath: "/d", intervalMs });
    await clock.run(points.open());
    rounds.setRider(points);
    return points;
  };
  return { clock, disk, start, bytes: () => Buffer.from(readWholeFile(disk, PATH)!) };
}

const logAt = (partition: number, offset: number) => ({
  topicId: TOPIC,
  partition,
  recoveryPoint: { offset, segmentBaseOffset: 7, position: offset * 10 },
});

test("the bytes of the journal", async () => {
  const { clock, start, bytes } = await place();
  const points = await start();
  points.note(logAt(3, 1000));
  await clock.advance(200);
  expect(bytes().subarray(0, 60).toString("hex")).toBe(
    `${"717072700001".padEnd(32, "0")}308690dca1574505 8dbacd0d98b71587 00000003 00000000000003e8 0000000000000007 00002710 00000000`.replaceAll(
      " ",
      "",
    ),
  );
  expect(bytes().length).toBe(64);
});

test("points are written at most once an interval, and survive", async () => {
  const { clock, disk, start, bytes } = await place();
  let points = await start();
  const log = logAt(0, 0);
  for (let i = 1; i <= 50; i++) {
    log.recoveryPoint = logAt(0, i).recoveryPoint;
    points.note(log);
    await clock.advance(10);
  }
  expect((bytes().length - 16) / 48).toBeLessThanOrEqual(6);
  await clock.advance(200);
  disk.kill();
  clock.reset();
  points = await start();
  expect(points.get(TOPIC, 0)).toEqual({ offset: 50, segmentBaseOffset: 7, position: 500 });
  expect(points.get(TOPIC, 1)).toBeNull();
  expect(bytes().length).toBe(64); // a start writes it without its history
});

test("what is behind a torn entry is not believed, what is before it is", async () => {
  const { clock, disk, start } = await place();
  let points = await start();
  for (let i = 0; i < 4; i++) points.note(logAt(i, 100 + i));
  await clock.advance(200);
  disk.damage(PATH, 16 + 2 * 48 + 30);
  disk.kill();
  clock.reset();
  points = await start();
  expect([0, 1, 2, 3].map((partition) => points.get(TOPIC, partition)?.offset)).toEqual([100, 101, undefined, undefined]);
});

test("a point that has to go back is on the disk before the call returns", async () => {
  const { clock, disk, start } = await place();
  let points = await start();
  const log = logAt(0, 500);
  points.note(log);
  await clock.advance(200);
  await clock.run(points.lower(log, { offset: 20, segmentBaseOffset: 0, position: 30 }));
  disk.cutPower();
  clock.reset();
  points = await start();
  expect(points.get(TOPIC, 0)?.offset).toBe(20);
});

test("the journal is rewritten when it has grown", async () => {
  const { clock, start, bytes } = await place(1);
  const points = await start();
  let largest = 0;
  for (let i = 0; i < 9000; i++) {
    points.note(logAt(i % 7, i));
    if (i % 7 === 6) await clock.advance(2);
    largest = Math.max(largest, i % 1000 === 0 ? bytes().length : 0);
  }
  await clock.advance(100);
  expect(largest).toBeLessThan(300 * 1024);
  expect(points.get(TOPIC, 6)?.offset).toBe(8994);
});

test("a deleted partition is forgotten", async () => {
  const { clock, disk, start } = await place();
  let points = await start();
  const log = logAt(0, 500);
  points.note(log);
  await clock.advance(200);
  points.forget(log);
  await clock.run(points.close());
  disk.kill();
  points = await start();
  expect(points.get(TOPIC, 0)).toBeNull();
});
