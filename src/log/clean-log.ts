/**
 * One cleaning of one log, from its files to new files beside them: it changes nothing that the broker uses. It runs in a thread
 * (cleaner-worker.ts), and in simulations without one. Source: Cleaner.doClean.
 */
import { GroupCleaner } from "./clean-group.ts";
import { groupSegments } from "./clean-groups.ts";
import type { CleanedGroup, CleanJob, CleanStats } from "./clean-job.ts";
import { buildOffsetMap, type CleanSeam } from "./clean-map.ts";
import { CleanTransactions } from "./clean-transactions.ts";

/** Nobody wants the result any more: the log is gone, or the broker stops. */
export class CleaningStopped extends Error {
  override name = "CleaningStopped";
}

/** Gives a new segment its place; resolves when that is durable. Rejects with CleaningStopped when the log has become another one. */
export type SwapIn = (group: CleanedGroup) => Promise<void>;

/** Rejects with DiskError, CorruptLog, KafkaError INVALID_RECORD, CleaningStopped; groups that were swapped in stay. */
export async function cleanLog(job: CleanJob, seam: CleanSeam, swapIn: SwapIn): Promise<CleanStats> {
  const stats: CleanStats = {
    endOffset: job.firstDirtyOffset,
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsWritten: 0,
    keys: 0,
    recordsWithoutKey: 0,
    batchesKeptWhole: 0,
  };
  const map = await buildOffsetMap(job, seam, stats);
  const endOffset = map.latestOffset + 1;
  const cleaner = new GroupCleaner(job, map, new CleanTransactions(job.aborted), seam, stats);
  const toClean = job.segments.filter((segment) => segment.baseOffset < endOffset);
  for (const group of groupSegments(toClean, job)) await swapIn(await cleaner.clean(group));
  stats.endOffset = endOffset;
  return stats;
}
