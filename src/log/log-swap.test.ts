/** What becomes of a segment that was to take the place of others, and is not wanted any more. */
import { expect, test } from "bun:test";
import { LogWorld } from "../../test/sim/log-world.ts";
import { DiskError } from "../io/disk.ts";
import { CleaningStopped } from "./clean-log.ts";
import { CLEANED_SUFFIX, LOG_SUFFIX, offsetFileName, SWAP_SUFFIX } from "./file-names.ts";
import { swapIn } from "./log-swap.ts";

/** How a swap ends while which the log is cut, on a disk that refuses to remove what `refuses` says; and the names that are left of it. */
async function endOf(refuses: (path: string) => boolean): Promise<{ error: unknown; left: string[] }> {
  const compaction = { deleteRetentionMs: 50, minCompactionLagMs: 0, maxCompactionLagMs: 2 ** 63, minCleanableDirtyRatio: 0 };
  const world = new LogWorld({ seed: 1, logConfig: { segmentBytes: 1000, compacts: true, compaction } });
  await world.start();
  const a = await world.create("a");
  for (let i = 0; i < 40; i++) world.append(a, { records: 1, valueBytes: 60 });
  await world.clock.advance(2000);
  const log = a.log!;
  const { size } = log.segments[0]!;
  const file = world.disk.open(`${log.directory}/${offsetFileName(0, LOG_SUFFIX)}${CLEANED_SUFFIX}`, "create");
  file.write(Buffer.alloc(size), 0);
  file.close();
  world.disk.fault = (operation, path) => (operation === "remove" && refuses(path) ? { code: "EIO" } : null);
  const group = { replaces: [0], size, offsetEntries: 0, timeEntries: 0, transactionEntries: 0 };
  const swapped = swapIn(log, group, log.cuts).then(
    () => null,
    (error: unknown) => error,
  );
  log.cuts++;
  const error = await world.clock.run(swapped);
  const left = world.disk.list(log.directory)!.map(({ name }) => name);
  return { error, left: left.filter((name) => name.endsWith(SWAP_SUFFIX) || name.endsWith(CLEANED_SUFFIX)) };
}

test("its files are removed, and the log is cleaned again", async () => {
  const { error, left } = await endOf(() => false);
  expect(error).toBeInstanceOf(CleaningStopped);
  expect(left).toEqual([]);
});

test("where they cannot be removed, that is no passing trouble of the disk: the next start would complete them", async () => {
  const { error, left } = await endOf((path) => path.endsWith(`${LOG_SUFFIX}${SWAP_SUFFIX}`));
  expect(error).toBeInstanceOf(Error);
  expect(error).not.toBeInstanceOf(CleaningStopped);
  expect(error).not.toBeInstanceOf(DiskError);
  expect(left).toEqual([`${offsetFileName(0, LOG_SUFFIX)}${SWAP_SUFFIX}`]);
});
