/** Compaction with a disk that fails one call, or dies at one: whichever call it is, the log stays whole, and is compacted in the end. */
import { expect, test } from "bun:test";
import { CompactionWorld } from "./compaction-world.ts";
import type { Fault } from "./fake-disk.ts";

/** Every so many-th call, each case with others; SIM_STRIDE=1 is all of them. */
const STRIDE = Number(process.env.SIM_STRIDE ?? 5);

interface Trouble {
  /** The call that fails. */
  readonly at: number;
  readonly fault: Fault;
  /** And all that follow, until the process has died so. */
  readonly deadly: "kill" | "power" | null;
}

/** A log of some segments is compacted twice, with a start in between. Returns how many calls to the disk that took. */
async function play({ at, fault, deadly }: Trouble): Promise<number> {
  const w = new CompactionWorld({
    seed: 7,
    keys: 6,
    limits: { dedupeBufferBytes: 24 * 300 },
    logConfig: { fileDeleteDelayMs: 5 },
  });
  const { disk, clock } = w.world;
  await w.begin();
  for (let i = 0; i < 40; i++) w.append();
  await clock.advance(8);
  let calls = 0;
  let struck = false;
  const inject = () => {
    disk.fault = () => {
      if (calls++ < at || (struck && deadly === null)) return null;
      struck = true;
      return fault;
    };
  };
  const recover = async (): Promise<void> => {
    const { fatal } = w.world;
    disk.fault = null;
    const wantsAnother = deadly !== null ? struck : fatal !== null || (struck && w.log.offline !== null);
    if (!wantsAnother) return;
    w.crash(deadly ?? "power");
    await w.restart(deadly ?? "power");
  };
  inject();
  await clock.advance(300);
  await recover();
  await w.check();
  for (let i = 0; i < 20; i++) w.append();
  inject();
  await clock.advance(300);
  await recover();
  await w.check();
  const total = calls;
  await clock.advance(70_000);
  w.crash("kill");
  await w.restart("kill");
  await clock.advance(1000);
  await w.check();
  await w.checkClean();
  expect(w.log.compaction.firstDirtyOffset).toBe(w.log.active!.baseOffset);
  await w.stop();
  const left = disk.list(w.log.directory)!.filter(({ name }) => /\.(cleaned|swap)$/.test(name));
  expect(left).toEqual([]);
  return total;
}

test.each([
  { first: 0, fault: { code: "EIO" }, deadly: null },
  { first: 1, fault: { code: "ENOSPC", written: 20 }, deadly: null },
  { first: 2, fault: { code: "EIO" }, deadly: "kill" },
  { first: 3, fault: { code: "EIO" }, deadly: "power" },
] as const)(
  "at every call: %p",
  async ({ first, fault, deadly }) => {
    const calls = await play({ at: Number.POSITIVE_INFINITY, fault, deadly });
    expect(calls).toBeGreaterThan(150);
    for (let at = Math.min(first, STRIDE - 1); at < calls; at += STRIDE) {
      try {
        await play({ at, fault, deadly });
      } catch (error) {
        throw new Error(`at call ${at}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  },
  60_000,
);
