/** One read of one partition for a fetch; for a reader of committed data with the aborted transactions that it must leave out. */
import { releaseChunks } from "../bytes/chunks.ts";
import type { StoredRead } from "../log/log.ts";
import type { AbortedTransaction } from "../log/transaction-index.ts";
import type { Isolation, Partition } from "./partition.ts";

export interface ReadRequest {
  readonly partition: Partition;
  readonly fetchOffset: number;
  readonly isolation: Isolation;
  readonly maxBytes: number;
  /** A first batch that is larger than `maxBytes` is given all the same. */
  readonly atLeastOne: boolean;
}

export interface PartitionRead {
  /** Its chunks belong to whoever has this: to be sent or released. */
  readonly stored: StoredRead;
  /** Those that have records in what was read; null unless committed data was asked for. */
  readonly aborted: AbortedTransaction[] | null;
  /** Up to where it might go: the end of what was readable when it began. */
  readonly limitOffset: number;
  /** `limitOffset` if a transaction that was open then kept back what lies above it; otherwise -1. */
  readonly heldBackAt: number;
}

const NONE_ABORTED: AbortedTransaction[] = [];

/** A promise if something must come from the disk itself. Throws, or rejects, as `Partition.read` does. */
export function readPartition(request: ReadRequest): PartitionRead | Promise<PartitionRead> {
  const { partition, fetchOffset, isolation, maxBytes, atLeastOne } = request;
  const limitOffset = partition.readableEnd(isolation);
  const heldBackAt = limitOffset < partition.highWatermark ? limitOffset : -1;
  const { swaps } = partition.log;
  const stored = partition.read(fetchOffset, isolation, maxBytes, atLeastOne);
  const whole = (read: StoredRead): PartitionRead | Promise<PartitionRead> => {
    const aborted = isolation === "read_committed" ? abortedIn(request, read) : null;
    if (!(aborted instanceof Promise)) return confirmed(request, swaps, { stored: read, aborted, limitOffset, heldBackAt });
    return aborted.then((late) => confirmed(request, swaps, { stored: read, aborted: late, limitOffset, heldBackAt }));
  };
  return stored instanceof Promise ? stored.then(whole) : whole(stored);
}

/** What was read is released if this fails. */
function abortedIn(
  { partition, fetchOffset }: ReadRequest,
  read: StoredRead,
): AbortedTransaction[] | Promise<AbortedTransaction[]> {
  if (read.bytes === 0) return NONE_ABORTED;
  const release = (error: unknown): never => {
    releaseChunks(read.chunks);
    throw error;
  };
  try {
    const aborted = partition.log.abortedTransactions(fetchOffset, read.nextOffset);
    return aborted instanceof Promise ? aborted.catch(release) : aborted;
  } catch (error) {
    return release(error);
  }
}

/** Reads again if segments left the log meanwhile, or others took their place: what those that are there know of aborted transactions need not be all. */
function confirmed(request: ReadRequest, swaps: number, read: PartitionRead): PartitionRead | Promise<PartitionRead> {
  if (read.aborted === null || swaps === request.partition.log.swaps) return read;
  releaseChunks(read.stored.chunks);
  return readPartition(request);
}
