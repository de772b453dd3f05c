/** That the simulated disk keeps the promises of a real one, breaks those that no one made, and does both the same way each time. */
import { describe, expect, test } from "bun:test";
import { readWholeFile } from "../../src/io/disk.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeDisk } from "./fake-disk.ts";
import { SeededRandom } from "./seeded-random.ts";

const text = (disk: FakeDisk, path: string): string | null => {
  const bytes = readWholeFile(disk, path);
  return bytes === null ? null : Buffer.from(bytes).toString("latin1");
};

async function afterPowerCut(
  seed: number,
  o: { syncFile: boolean; syncNames: boolean; syncAll?: boolean },
): Promise<string | null> {
  const disk = new FakeDisk({ random: new SeededRandom(seed), hasSyncFileSystem: true });
  const file = disk.open("/f", "create");
  file.write(Buffer.alloc(1500, "a"), 0);
  if (o.syncFile) await file.sync();
  if (o.syncNames) await disk.syncDirectory("/");
  if (o.syncAll) await disk.syncFileSystem!("/");
  file.write(Buffer.alloc(1500, "b"), 1500);
  disk.cutPower();
  return text(disk, "/f");
}

describe("a power cut", () => {
  test("leaves what was synced, contents and name", async () => {
    for (let seed = 0; seed < 50; seed++) {
      for (const left of [
        await afterPowerCut(seed, { syncFile: true, syncNames: true }),
        await afterPowerCut(seed, { syncFile: false, syncNames: false, syncAll: true }),
      ]) {
        expect(left!.slice(0, 1500)).toBe("a".repeat(1500));
        expect(left!.slice(1500)).toMatch(/^[b\0]*$/);
      }
    }
  });

  test("may forget a name that was not synced, though its contents were; and contents, though the name was", async () => {
    const forgotten = new Set<boolean>();
    const contents = new Set<string>();
    for (let seed = 0; seed < 60; seed++) {
      forgotten.add((await afterPowerCut(seed, { syncFile: true, syncNames: false })) === null);
      const left = (await afterPowerCut(seed, { syncFile: false, syncNames: true }))!;
      contents.add(
        left === ""
          ? "nothing"
          : left === "a".repeat(1500) + "b".repeat(1500)
            ? "all"
            : left.startsWith("a")
              ? "a part"
              : "a hole",
      );
    }
    expect([...forgotten].sort()).toEqual([false, true]);
    expect([...contents].sort()).toEqual(["a hole", "a part", "all", "nothing"]);
  });

  test("is the same for the same seed", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const o = { syncFile: false, syncNames: true };
      expect(await afterPowerCut(seed, o)).toBe(await afterPowerCut(seed, o));
    }
  });

  test("a sync covers what was written before it began, not what came while it ran", async () => {
    const clock = new FakeClock();
    for (let seed = 0; seed < 20; seed++) {
      const disk = new FakeDisk({ random: new SeededRandom(seed), clock });
      const file = disk.open("/f", "create");
      await clock.run(disk.syncDirectory("/"));
      file.write(Buffer.from("before"), 0);
      const sync = file.sync();
      file.write(Buffer.from("during"), 6);
      await clock.run(sync);
      disk.cutPower();
      expect(text(disk, "/f")!.slice(0, 6)).toBe("before");
      if (text(disk, "/f") === "before") return;
    }
    expect.unreachable();
  });

  test("ends everything that was under way: its files are dead, its syncs never return", async () => {
    const clock = new FakeClock();
    const disk = new FakeDisk({ random: new SeededRandom(1), clock });
    const file = disk.open("/f", "create");
    let returned = false;
    file.sync().then(() => {
      returned = true;
    });
    disk.cutPower();
    await clock.advance(100);
    expect(returned).toBeFalse();
    expect(() => file.write(Buffer.from("x"), 0)).toThrow("EBADF");
  });
});

test("a killed process loses nothing but its locks", () => {
  const disk = new FakeDisk({ random: new SeededRandom(1) });
  disk.open("/f", "create").write(Buffer.from("x"), 0);
  expect(disk.lock("/l")).not.toBeNull();
  expect(disk.lock("/l")).toBeNull();
  disk.kill();
  expect(text(disk, "/f")).toBe("x");
  expect(disk.lock("/l")).not.toBeNull();
});

test("a full disk takes what fits", () => {
  const disk = new FakeDisk({ random: new SeededRandom(1) });
  disk.capacityBytes = 10;
  const file = disk.open("/f", "create");
  expect(() => file.write(Buffer.alloc(16, "x"), 0)).toThrow("ENOSPC");
  expect(text(disk, "/f")).toBe("x".repeat(10));
  file.write(Buffer.from("y"), 3); // no more room is needed
  file.truncate(2);
  file.write(Buffer.alloc(8, "z"), 2);
});

test("timers run in order of time, then of making; time stands still meanwhile", async () => {
  const clock = new FakeClock(5000);
  const ran: string[] = [];
  clock.schedule(20, () => ran.push(`c ${clock.monotonicMs()}`));
  clock.schedule(10, () => ran.push(`a ${clock.nowMs()}`));
  clock.schedule(10, () => ran.push("b"));
  clock.schedule(15, () => ran.push("cancelled")).cancel();
  await clock.advance(9);
  expect(ran).toEqual([]);
  await clock.advance(100);
  expect(ran).toEqual(["a 5010", "b", "c 20"]);
  expect(clock.nowMs()).toBe(5109);
  expect(clock.run(new Promise(() => {}))).rejects.toThrow("for ever");
});
