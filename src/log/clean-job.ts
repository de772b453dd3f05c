/** What a cleaning is told and what it tells: plain data, because it goes to a thread and back. */

import type { AbortedTransaction } from "./transaction-index.ts";

/** A segment as a cleaning needs to know it. Sizes in bytes. */
export interface CleanableSegment {
  readonly baseOffset: number;
  readonly size: number;
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
  /** Whether it has an index of aborted transactions, perhaps an empty one. */
  readonly hasTransactionIndex: boolean;
}

/** What a producer that is still remembered wrote last. Source: LastRecord. */
export interface LastRecord {
  readonly producerId: number;
  /** The last offset of its last batch of data; -1 if only markers are known of it. */
  readonly lastDataOffset: number;
  readonly producerEpoch: number;
}

/** Kafka's log.cleaner options. */
export interface CleanLimits {
  /** The most memory for the map of keys. */
  readonly dedupeBufferBytes: number;
  /** How much of the map is filled, 0 to 1. */
  readonly loadFactor: number;
  /** Memory for what is read and what is written, half each. A larger batch takes what it needs. */
  readonly ioBufferBytes: number;
  /** Reads and writes together stay below this on average. */
  readonly bytesPerSecond: number;
  /** A batch that unpacks to more stays as it is. */
  readonly maxDecompressedBytes: number;
}

/** One cleaning of one log. */
export interface CleanJob {
  /** "topic-0" */
  readonly name: string;
  readonly directory: string;
  /** Those below `endOffset`, in order. */
  readonly segments: readonly CleanableSegment[];
  /** Below it every key occurs once, but for what an earlier cleaning could not do. */
  readonly firstDirtyOffset: number;
  /** Where the first segment begins that must not be touched. */
  readonly endOffset: number;
  readonly highWatermark: number;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
  readonly lastRecords: readonly LastRecord[];
  /** Those with records in `segments`, by first offset. */
  readonly aborted: readonly AbortedTransaction[];
  readonly limits: CleanLimits;
  /** Of the hash. */
  readonly seed: number;
}

/** A segment that can take the place of others: its files are complete, synced, and named `.cleaned`. */
export interface CleanedGroup {
  /** Base offsets, in order; the first one is the new segment's too. */
  readonly replaces: readonly number[];
  readonly size: number;
  readonly offsetEntries: number;
  readonly timeEntries: number;
  /** Of aborted transactions that have records left. */
  readonly transactionEntries: number;
}

/** What a cleaning did. Source: CleanerStats. */
export interface CleanStats {
  /** What lies below is clean now. */
  endOffset: number;
  bytesRead: number;
  bytesWritten: number;
  recordsRead: number;
  recordsWritten: number;
  keys: number;
  /** Records without a key: they cannot stay. */
  recordsWithoutKey: number;
  /** Batches that unpack to too much: they stay. */
  batchesKeptWhole: number;
}
