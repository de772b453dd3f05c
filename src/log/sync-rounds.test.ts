import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import type { DiskFile } from "../io/disk.ts";
import { SyncRounds, type SyncTarget } from "./sync-rounds.ts";

class Target implements SyncTarget {
  readonly name: string;
  private readonly file: DiskFile;
  private readonly log: string[];
  private readonly directories: string[];
  onEnd: () => void = () => {};
  constructor(disk: FakeDisk, name: string, log: string[], directories: string[] = []) {
    this.name = name;
    this.file = disk.open(`/d/${name}`, "create");
    this.log = log;
    this.directories = directories;
  }
  beginRound() {
    this.log.push(`begin ${this.name}`);
    return { files: [this.file], directories: this.directories };
  }
  endRound() {
    this.log.push(`end ${this.name}`);
    this.onEnd();
  }
}

function place(syncFileSystemAbove = 8, hasSyncFileSystem = true) {
  const clock = new FakeClock();
  const disk = new FakeDisk({ random: new SeededRandom(1), clock, hasSyncFileSystem });
  disk.makeDirectory("/d");
  const log: string[] = [];
  const fatal: unknown[] = [];
  const rounds = new SyncRounds({
    disk,
    path: "/d",
    syncFileSystemAbove,
    clock,
    leisureMs: 100,
    onFatal: (error) => fatal.push(error),
  });
  const targets = ["a", "b", "c"].map((name) => new Target(disk, name, log));
  disk.fault = (operation, path) => {
    if (operation.includes("sync")) log.push(`${operation} ${path}`);
    return null;
  };
  return { clock, disk, log, fatal, rounds, targets };
}

test("one round serves everything that became dirty in one go; what comes meanwhile is the next round's", async () => {
  const { clock, log, rounds, targets } = place();
  rounds.markDirty(targets[0]!);
  rounds.markDirty(targets[1]!);
  await clock.advance(0);
  rounds.markDirty(targets[2]!);
  rounds.markDirty(targets[0]!);
  const idle = rounds.idle();
  await clock.run(idle);
  expect(log).toEqual([
    ...["begin a", "begin b", "fdatasync /d/a", "fdatasync /d/b", "end a", "end b"],
    ...["begin c", "begin a", "fdatasync /d/c", "fdatasync /d/a", "end c", "end a"],
  ]);
  expect(rounds.count).toBe(2);
  expect(rounds.busy).toBeFalse();
});

test("many files are one syncfs, where there is one", async () => {
  for (const hasSyncFileSystem of [true, false]) {
    const { clock, log, rounds, targets } = place(2, hasSyncFileSystem);
    for (const target of targets) rounds.markDirty(target);
    await clock.run(rounds.idle());
    expect(log.filter((line) => line.startsWith("syncfs"))).toEqual(hasSyncFileSystem ? ["syncfs /d"] : []);
    expect(log.filter((line) => line.startsWith("fdatasync")).length).toBe(hasSyncFileSystem ? 0 : 3);
  }
});

test("a directory is synced once for all who ask", async () => {
  const { clock, disk, log, rounds } = place();
  for (const name of ["x", "y"]) rounds.markDirty(new Target(disk, name, log, ["/d"]));
  await clock.run(rounds.idle());
  expect(log.filter((line) => line.startsWith("fsync"))).toEqual(["fsync /d"]);
});

test("idle means what was dirty at the call, not what comes after", async () => {
  const { clock, rounds, targets } = place();
  const again = targets[0]!;
  again.onEnd = () => rounds.markDirty(again); // never at rest
  rounds.markDirty(again);
  await clock.run(rounds.idle());
  expect(rounds.busy).toBeTrue();
  rounds.markDirty(targets[1]!);
  await clock.run(rounds.idle());
  again.onEnd = () => {};
  await clock.run(rounds.idle());
});

test("a target may append and mark itself dirty while it is told that it is synced", async () => {
  const { clock, log, rounds, targets } = place();
  let left = 3;
  targets[0]!.onEnd = () => {
    if (left-- > 0) rounds.markDirty(targets[0]!);
  };
  rounds.markDirty(targets[0]!);
  while (rounds.busy) await clock.run(rounds.idle());
  expect(log.filter((line) => line === "end a").length).toBe(4);
});

test.each(["fdatasync", "syncfs"])("a failed %s is told once and ends all rounds", async (operation) => {
  const { clock, disk, log, fatal, rounds, targets } = place(operation === "syncfs" ? 1 : 8);
  for (const target of targets) rounds.markDirty(target);
  const idle = rounds.idle();
  disk.fault = (called) => (called === operation ? { code: "EIO" } : null);
  expect(clock.run(idle)).rejects.toThrow("EIO");
  await clock.advance(10);
  expect(fatal.length).toBe(1);
  expect(rounds.failed).toBeTrue();
  disk.fault = null;
  rounds.markDirty(targets[0]!);
  await clock.advance(100);
  expect(log.filter((line) => line.startsWith("end"))).toEqual([]);
  expect(rounds.idle()).rejects.toThrow("EIO");
});

test("a rider's file is synced with the round that it rides", async () => {
  const { clock, disk, log, rounds, targets } = place();
  const journal = disk.open("/d/journal", "create");
  rounds.setRider({ ride: () => journal });
  rounds.markDirty(targets[0]!);
  await clock.run(rounds.idle());
  expect(log).toEqual(["begin a", "fdatasync /d/journal", "fdatasync /d/a", "end a"]);
  rounds.nudge();
  await clock.run(rounds.idle());
  expect(rounds.count).toBe(2);
});
