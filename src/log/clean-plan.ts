/** Which logs want a cleaning, and how far it may go. Pure. Source: LogCleanerManager.cleanableOffsets, LogToClean. */

/** When a compacted log is cleaned; Kafka's topic options of these names. */
export interface CompactionConfig {
  readonly deleteRetentionMs: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  readonly minCleanableDirtyRatio: number;
}

/** A segment, as far as the plan needs it. Timestamps are only asked for where a lag is configured. */
export interface PlannedSegment {
  readonly baseOffset: number;
  readonly size: number;
  /** The largest of its records; the time of its making if they have none. */
  largestTimestampMs(): number;
  /** The maximum timestamp of its first batch; -1: none. */
  firstTimestampMs(): number;
}

export interface PlannedLog {
  readonly segments: readonly PlannedSegment[];
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Written down by the last cleaning. */
  readonly firstDirtyOffset: number;
  readonly lastStableOffset: number;
  /** The first segment of which not everything is known to be on the disk. */
  readonly firstUnsyncedSegment: number;
  readonly config: CompactionConfig;
}

export interface Plan {
  readonly firstDirtyOffset: number;
  /** Where the first segment begins that must not be cleaned. */
  readonly endOffset: number;
  /** The dirty part of what can be cleaned, 0 to 1. */
  readonly dirtyRatio: number;
  /** Whether it wants to be cleaned now. */
  readonly isDue: boolean;
}

const NOTHING: Plan = { firstDirtyOffset: 0, endOffset: 0, dirtyRatio: 0, isDue: false };

/** What a cleaning of the log would be now. */
export function planCleaning(log: PlannedLog, nowMs: number): Plan {
  const { segments, config } = log;
  const active = segments.at(-1);
  if (active === undefined) return NOTHING;
  const { firstDirtyOffset: written, logStartOffset } = log;
  const firstDirtyOffset = written < logStartOffset || written > log.logEndOffset ? logStartOffset : written;
  const dirty = segments.slice(at(segments, firstDirtyOffset), -1);
  const limit = Math.min(log.lastStableOffset, log.firstUnsyncedSegment, active.baseOffset, tooYoung(dirty, config, nowMs));
  const endOffset = segments[at(segments, Math.max(firstDirtyOffset, limit))]!.baseOffset;
  const cleanBytes = sizeOf(segments.filter((segment) => segment.baseOffset < firstDirtyOffset));
  const dirtyBytes = sizeOf(dirty.filter((segment) => segment.baseOffset < endOffset));
  const dirtyRatio = dirtyBytes === 0 ? 0 : dirtyBytes / (cleanBytes + dirtyBytes);
  const isDue = dirtyBytes > 0 && (dirtyRatio > config.minCleanableDirtyRatio || isOverdue(dirty, config, nowMs));
  return { firstDirtyOffset, endOffset, dirtyRatio, isDue };
}

/** The one that is due and dirtiest. */
export function filthiest<T extends { readonly plan: Plan }>(logs: readonly T[]): T | null {
  let found: T | null = null;
  for (const log of logs) if (log.plan.isDue && log.plan.dirtyRatio > (found?.plan.dirtyRatio ?? -1)) found = log;
  return found;
}

/** Where the first segment with a record that is younger than the minimum lag begins. */
function tooYoung(dirty: readonly PlannedSegment[], { minCompactionLagMs }: CompactionConfig, nowMs: number): number {
  if (minCompactionLagMs <= 0) return Number.POSITIVE_INFINITY;
  const young = dirty.find((segment) => segment.largestTimestampMs() > nowMs - minCompactionLagMs);
  return young?.baseOffset ?? Number.POSITIVE_INFINITY;
}

/** Whether a dirty record has waited for longer than the maximum lag. */
function isOverdue(dirty: readonly PlannedSegment[], { maxCompactionLagMs }: CompactionConfig, nowMs: number): boolean {
  if (maxCompactionLagMs >= nowMs) return false;
  return dirty.some((segment) => {
    const firstMs = segment.firstTimestampMs();
    return firstMs > 0 && firstMs < nowMs - maxCompactionLagMs;
  });
}

/** The segment that holds `offset`, or would. */
function at(segments: readonly PlannedSegment[], offset: number): number {
  let found = 0;
  for (let i = 1; i < segments.length && segments[i]!.baseOffset <= offset; i++) found = i;
  return found;
}

const sizeOf = (segments: readonly PlannedSegment[]): number => segments.reduce((bytes, { size }) => bytes + size, 0);
