/** What a produced batch is held against, and what becomes of it. */
import type { TimestampType } from "./batch.ts";
import type { Target } from "./recompress.ts";

/** The topic's and the broker's limits that a batch is held against. Sizes in bytes, times in milliseconds. */
export interface BatchRules {
  /** `max.message.bytes`: of the batch as it came. */
  maxMessageBytes: number;
  /** `segment.bytes`. */
  segmentBytes: number;
  /** `message.timestamp.type`. */
  timestampType: TimestampType;
  /** `message.timestamp.before.max.ms`. */
  beforeMaxMs: number;
  /** `message.timestamp.after.max.ms`. */
  afterMaxMs: number;
  nowMs: number;
  /** `cleanup.policy` contains `compact`. */
  compacted: boolean;
  /** Version of the Produce request: below 7 there is no zstd. */
  produceVersion: number;
  /** Bound on what a compressed batch may come to. */
  maxDecompressedBytes: number;
  /** `max.decompressed.message.bytes`: of one record in a compressed batch. Default: no bound. */
  maxRecordBytes?: number;
  /** How far back zstd may refer: frames that say they need more memory than this are refused. */
  maxZstdWindowBytes: number;
  /** What the batches of one request may still come to together; each takes its share. Without it there is no such bound. */
  unpacking?: { leftBytes: number } | undefined;
  /** What the topic stores its batches in; null: as they came. */
  target?: Target | null;
  /** For messages: "topic-0". */
  topicPartition?: string;
}

/** For the end of a message. */
export const where = (rules: BatchRules): string =>
  rules.topicPartition === undefined ? "" : ` in topic partition ${rules.topicPartition}`;
