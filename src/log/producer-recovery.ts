/** Producer state on its way to the disk and back: snapshots by offset, and replaying the log behind the newest one. */
import type { Logger } from "../base/logger.ts";
import { type Disk, fileNames, readWholeFile, writeWholeFile } from "../io/disk.ts";
import {
  baseOffset,
  baseSequence,
  hasProducerId,
  isControl,
  isTransactional,
  lastOffset,
  lastSequence,
  maxTimestamp,
  producerEpoch,
  producerId,
} from "../record/batch.ts";
import { ControlType, controlType, coordinatorEpoch } from "../record/control.ts";
import { records } from "../record/records.ts";
import { scanBatches } from "./batch-scan.ts";
import { offsetFileName, offsetOfFileName, SNAPSHOT_SUFFIX, WINDOWS_SUFFIX } from "./file-names.ts";
import { CorruptLog } from "./index-recovery.ts";
import { BrokenSnapshot, decodeSnapshot, decodeWindows, encodeSnapshot, encodeWindows } from "./producer-snapshot.ts";
import type { CompletedTransaction, ProducerEntry, ProducerState } from "./producer-state.ts";
import type { Segment } from "./segment.ts";
import { positionAtOrBefore, WrongIndex } from "./segment-read.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

/** Control records are some tens of bytes. */
const CONTROL_BATCH_MAX_BYTES = 64 * 1024;

/** The offsets that the directory has snapshots for, ascending. `names`: its files, if they were listed before. */
export function snapshotOffsets(
  disk: Disk,
  directory: string,
  names: readonly string[] | null = fileNames(disk, directory),
): number[] {
  const offsets = new Set<number>();
  for (const name of names ?? []) {
    const offset = offsetOfFileName(name, SNAPSHOT_SUFFIX) ?? offsetOfFileName(name, WINDOWS_SUFFIX);
    if (offset !== null) offsets.add(offset);
  }
  return [...offsets].sort((a, b) => a - b);
}

/** Both files of a snapshot. */
export const snapshotPaths = (directory: string, offset: number): [string, string] => [
  `${directory}/${offsetFileName(offset, SNAPSHOT_SUFFIX)}`,
  `${directory}/${offsetFileName(offset, WINDOWS_SUFFIX)}`,
];

export function removeSnapshot(disk: Disk, directory: string, offset: number): void {
  for (const path of snapshotPaths(directory, offset)) disk.remove(path);
}

/** Writes both files of a snapshot, not synced. Throws DiskError. */
export function writeSnapshot(disk: Disk, directory: string, offset: number, state: ProducerState): void {
  const entries = [...state.entries()];
  const [snapshot, windows] = snapshotPaths(directory, offset);
  writeWholeFile(disk, windows, encodeWindows(entries));
  writeWholeFile(disk, snapshot, encodeSnapshot(entries));
}

/** The entries of a snapshot: of our own file, or else, if it is to be trusted, of Kafka's; null if there is none. */
function readSnapshot(o: ProducerRecovery, offset: number): ProducerEntry[] | null {
  const [snapshot, windows] = snapshotPaths(o.directory, offset);
  const whole = readFile(o, windows, decodeWindows);
  return whole === null && offset <= o.trustedOffset ? readFile(o, snapshot, decodeSnapshot) : whole;
}

/** Whether there is a whole snapshot of ours at an offset of [from, to]. */
export function hasSnapshotWithin(
  o: { readonly disk: Disk; readonly logger: Logger },
  directory: string,
  names: readonly string[],
  from: number,
  to: number,
): boolean {
  const offsets = snapshotOffsets(o.disk, directory, names).filter((offset) => offset >= from && offset <= to);
  return offsets.some((offset) => readFile(o, snapshotPaths(directory, offset)[1], decodeWindows) !== null);
}

function readFile(
  o: Pick<ProducerRecovery, "disk" | "logger">,
  path: string,
  decode: (bytes: Buffer) => ProducerEntry[],
): ProducerEntry[] | null {
  const bytes = readWholeFile(o.disk, path);
  if (bytes === null) return null;
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch (error) {
    if (!(error instanceof BrokenSnapshot)) throw error;
    o.logger.warn("a producer snapshot is not usable", { file: path, reason: error.message });
    return null;
  }
}

export interface ProducerRecovery {
  readonly disk: Disk;
  readonly logger: Logger;
  readonly directory: string;
  readonly nowMs: number;
  readonly segments: readonly Segment[];
  /** Where the segments begin. Batches below the log's start count while they are there. */
  readonly firstOffset: number;
  readonly logEndOffset: number;
  /** The directory's files; those that are gone meanwhile count as broken. Listed anew if not given. */
  readonly names?: readonly string[];
  /**
   * Up to here a `.snapshot` serves without our own file beside it (another broker wrote it, or ours was damaged). Above, a crash may have
   * taken ours alone, and the log still knows more than the last batch of each producer.
   */
  readonly trustedOffset: number;
  /** From here on the indexes of aborted transactions lack what the log holds: they get it. Infinity if they are whole. */
  readonly transactionsFrom: number;
}

/**
 * Fills `state` as of the log's end: the newest whole snapshot at or below it, then the batches behind that. Indexes of aborted
 * transactions that lack something get it before, from a snapshot that is not above that or from the first batch: an older state, which
 * may know less of producers whose records were deleted. Snapshots above the end are removed, broken ones too. Returns the offset of the
 * newest snapshot that is kept (-1: none), those that are older than the ones that were used, and whether files were removed.
 */
export async function recoverProducers(
  o: ProducerRecovery,
  state: ProducerState,
): Promise<{ snapshotOffset: number; older: readonly number[]; removed: boolean }> {
  let removed = false;
  let snapshotOffset = -1;
  let newest: readonly ProducerEntry[] = [];
  let from = o.firstOffset;
  state.clear();
  const offsets = snapshotOffsets(o.disk, o.directory, o.names);
  for (let i = offsets.length - 1; i >= 0; i--) {
    const offset = offsets[i]!;
    // An older one that the newest made needless may have lost our file on its way out.
    const trustedOffset = snapshotOffset >= 0 ? -1 : o.trustedOffset;
    const entries = offset > o.logEndOffset ? null : readSnapshot({ ...o, trustedOffset }, offset);
    if (entries === null) {
      removeSnapshot(o.disk, o.directory, offset);
      removed = true;
      continue;
    }
    const alive = entries.filter((entry) => !state.isExpired(entry, o.nowMs));
    if (snapshotOffset < 0) [snapshotOffset, newest] = [offset, alive];
    if (offset > o.transactionsFrom) continue;
    state.load(alive);
    from = offset;
    break;
  }
  await replay(o, state, from);
  if (snapshotOffset > from) {
    state.load(newest);
    await replay({ ...o, transactionsFrom: Number.POSITIVE_INFINITY }, state, snapshotOffset);
  }
  return { snapshotOffset, older: offsets.filter((offset) => offset < from), removed };
}

/** Applies the batches of [from, log end). */
async function replay(o: ProducerRecovery, state: ProducerState, from: number): Promise<void> {
  for (let i = 0; i < o.segments.length; i++) {
    const segment = o.segments[i]!;
    const next = o.segments[i + 1]?.baseOffset ?? o.logEndOffset;
    if (next <= from || segment.size === 0) continue;
    const start = from > segment.baseOffset ? await startOf(segment, from) : 0;
    const handle = segment.hold();
    try {
      const range = {
        file: handle.file,
        from: start,
        to: segment.size,
        baseOffset: segment.baseOffset,
        nextOffset: segment.baseOffset,
        validate: false,
      };
      const { problem, position, nextOffset } = await scanBatches(range, (b, at) => {
        if (baseOffset(b, at) < from || !hasProducerId(b, at)) return true;
        const ended = applyStored(state, b, at);
        if (ended?.type === "abort" && ended.markerOffset >= o.transactionsFrom) segment.transactions.append(abortedBy(ended));
        return true;
      });
      if (problem !== null) throw new CorruptLog(`${segment.path}, offset ${nextOffset}, byte ${position}: ${problem}`);
    } finally {
      segment.release(handle);
    }
  }
}

/** A transaction that a marker ended, as an index holds it. */
export const abortedBy = ({
  producerId,
  firstOffset,
  markerOffset,
  lastStableOffset,
}: CompletedTransaction): AbortedTransaction => ({
  producerId,
  firstOffset,
  lastOffset: markerOffset,
  lastStableOffset,
});

/** Where to begin to look for `offset`; the beginning if the index is of no use. */
async function startOf(segment: Segment, offset: number): Promise<number> {
  try {
    return await positionAtOrBefore(segment, offset);
  } catch (error) {
    if (error instanceof WrongIndex) return 0;
    throw error;
  }
}

/** Applies a batch as it stands in the log. The whole batch must be there if it is a control batch. Returns the transaction that it ended, if it is a marker. */
export function applyStored(state: ProducerState, b: Buffer, at: number): CompletedTransaction | null {
  if (isControl(b, at)) return applyStoredMarker(state, b, at);
  const batch = {
    producerId: producerId(b, at),
    producerEpoch: producerEpoch(b, at),
    baseSequence: baseSequence(b, at),
    lastSequence: lastSequence(b, at),
    isTransactional: isTransactional(b, at),
  };
  state.apply(batch, baseOffset(b, at), lastOffset(b, at), maxTimestamp(b, at));
  return null;
}

/** ProducerAppendInfo.append: only a batch's first control record counts; other control records than transaction markers are not ours. */
function applyStoredMarker(state: ProducerState, b: Buffer, at: number): CompletedTransaction | null {
  for (const record of records(b, at, { maxBytes: CONTROL_BATCH_MAX_BYTES })) {
    const type = controlType(record.key);
    if (type !== ControlType.abort && type !== ControlType.commit) return null;
    const marker = {
      type: type === ControlType.abort ? ("abort" as const) : ("commit" as const),
      producerId: producerId(b, at),
      producerEpoch: producerEpoch(b, at),
      coordinatorEpoch: coordinatorEpoch(record.value),
      timestampMs: record.timestampMs,
    };
    return state.applyMarker(marker, record.offset);
  }
  return null; // compaction took all of the transaction
}
