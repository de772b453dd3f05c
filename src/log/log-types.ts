/** What a log is made of and made with: the types that its files share. */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import type { CompactionConfig } from "./clean-plan.ts";
import type { CompactionMark } from "./compaction-mark.ts";
import type { Journal } from "./journal.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { LogStarts } from "./log-starts.ts";
import type { OpenFiles } from "./open-files.ts";
import type { ProducerState } from "./producer-state.ts";
import type { RecoveryPoint, RecoveryPoints } from "./recovery-points.ts";
import type { Removals } from "./removals.ts";
import type { Segment } from "./segment.ts";
import type { SyncRounds } from "./sync-rounds.ts";
import type { WriteTrouble } from "./write-trouble.ts";

/** Kafka's topic options of these names; `maxProducers` is ours. */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentJitterMs: number;
  readonly indexIntervalBytes: number;
  readonly segmentIndexBytes: number;
  readonly fileDeleteDelayMs: number;
  /** Whether cleanup.policy contains delete. */
  readonly deletes: boolean;
  /** Whether cleanup.policy contains compact. */
  readonly compacts: boolean;
  /** -1: no limit. */
  readonly retentionMs: number;
  /** -1: no limit. */
  readonly retentionBytes: number;
  readonly producerIdExpirationMs: number;
  /** Beyond this many producers in one partition, the ones that wrote the longest ago are forgotten. */
  readonly maxProducers: number;
  /** How the log is compacted; null: it is not. */
  readonly compaction: CompactionConfig | null;
}

/** When an append counts: once it is synced, or at once. */
export type Durability = "sync" | "page-cache";

export interface Appended {
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** -1 unless the batch's timestamp type is LogAppendTime. */
  readonly logAppendTimeMs: number;
  /** The producer sent this batch before: nothing was appended, the offsets are those of the first time. It counts when the log is durable up to `lastOffset`. */
  readonly duplicate: boolean;
  readonly logStartOffset: number;
}

/** What all logs of a data directory share. */
export interface LogShared {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly dataPath: string;
  readonly files: OpenFiles;
  readonly rounds: SyncRounds;
  readonly journal: Journal;
  readonly recoveryPoints: RecoveryPoints;
  readonly logStarts: LogStarts;
  readonly trouble: WriteTrouble;
  readonly removals: Removals;
}

/** What opening finds. */
export interface LogParts {
  readonly topic: string;
  readonly partition: number;
  readonly topicId: string;
  readonly config: LogConfig;
  readonly durability: Durability;
  readonly directory: string;
  readonly directoryExists: boolean;
  /** See arrival.ts. */
  readonly isArriving: boolean;
  readonly segments: Segment[];
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly recoveryPoint: RecoveryPoint;
  readonly compaction: CompactionMark;
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  /** Offset of the newest producer snapshot, -1 if there is none. */
  readonly snapshotOffset: number;
  /** `epochs.changes` when they were as on the disk. */
  readonly epochsOnDisk: number;
  readonly offline: string | null;
}
