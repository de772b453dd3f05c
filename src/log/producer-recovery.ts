/** Producer state on its way to the disk and back: snapshots by offset, and replaying the log behind the newest one. */
import type { Logger } from "../base/logger.ts";
import { type Disk, readWholeFile } from "../io/disk.ts";
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
import type { ProducerEntry, ProducerState } from "./producer-state.ts";
import type { Segment } from "./segment.ts";
import { positionAtOrBefore, WrongIndex } from "./segment-read.ts";

/** Control records are some tens of bytes. */
const CONTROL_BATCH_MAX_BYTES = 64 * 1024;

/** The offsets that the directory has snapshots for, ascending. */
export function snapshotOffsets(disk: Disk, directory: string): number[] {
  const offsets = new Set<number>();
  for (const { name } of disk.list(directory) ?? []) {
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
  writeFile(disk, windows, encodeWindows(entries));
  writeFile(disk, snapshot, encodeSnapshot(entries));
}

function writeFile(disk: Disk, path: string, bytes: Buffer): void {
  const file = disk.open(path, "create");
  try {
    file.truncate(0);
    file.write(bytes, 0);
  } finally {
    file.close();
  }
}

/** The entries of a snapshot: of our own file, or else, if it is to be trusted, of Kafka's; null if there is none. */
function readSnapshot(o: ProducerRecovery, offset: number): ProducerEntry[] | null {
  const [snapshot, windows] = snapshotPaths(o.directory, offset);
  const whole = readFile(o, windows, decodeWindows);
  return whole === null && offset <= o.trustedOffset ? readFile(o, snapshot, decodeSnapshot) : whole;
}

function readFile(o: ProducerRecovery, path: string, decode: (bytes: Buffer) => ProducerEntry[]): ProducerEntry[] | null {
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
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /**
   * Up to here a `.snapshot` serves without our own file beside it (another broker wrote it, or ours was damaged). Above, a crash may have
   * taken ours alone, and the log still knows more than the last batch of each producer.
   */
  readonly trustedOffset: number;
}

/**
 * Fills `state` as of the log's end: the newest whole snapshot at or below it, then the batches behind that. Snapshots above the end are
 * removed, broken ones too. Returns the offset of the snapshot that was used (-1: none) and whether files were removed.
 */
export async function recoverProducers(
  o: ProducerRecovery,
  state: ProducerState,
): Promise<{ snapshotOffset: number; removed: boolean }> {
  let removed = false;
  state.clear();
  const offsets = snapshotOffsets(o.disk, o.directory);
  for (let i = offsets.length - 1; i >= 0; i--) {
    const offset = offsets[i]!;
    const entries = offset > o.logEndOffset ? null : readSnapshot(o, offset);
    if (entries !== null) {
      state.load(entries.filter((entry) => !state.isExpired(entry, o.nowMs)));
      await replay(o, state, offset);
      return { snapshotOffset: offset, removed };
    }
    removeSnapshot(o.disk, o.directory, offset);
    removed = true;
  }
  await replay(o, state, o.logStartOffset);
  return { snapshotOffset: -1, removed };
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
        if (baseOffset(b, at) >= from && hasProducerId(b, at)) applyStored(state, b, at);
        return true;
      });
      if (problem !== null) throw new CorruptLog(`${segment.path}, offset ${nextOffset}, byte ${position}: ${problem}`);
    } finally {
      segment.release(handle);
    }
  }
}

/** Where to begin to look for `offset`; the beginning if the index is of no use. */
async function startOf(segment: Segment, offset: number): Promise<number> {
  try {
    return await positionAtOrBefore(segment, offset);
  } catch (error) {
    if (error instanceof WrongIndex) return 0;
    throw error;
  }
}

/** Applies a batch as it stands in the log. The whole batch must be there if it is a control batch. */
export function applyStored(state: ProducerState, b: Buffer, at: number): void {
  if (isControl(b, at)) {
    applyStoredMarker(state, b, at);
    return;
  }
  const batch = {
    producerId: producerId(b, at),
    producerEpoch: producerEpoch(b, at),
    baseSequence: baseSequence(b, at),
    lastSequence: lastSequence(b, at),
    isTransactional: isTransactional(b, at),
  };
  state.apply(batch, baseOffset(b, at), lastOffset(b, at), maxTimestamp(b, at));
}

/** ProducerAppendInfo.append: only a batch's first control record counts; other control records than transaction markers are not ours. */
function applyStoredMarker(state: ProducerState, b: Buffer, at: number): void {
  for (const record of records(b, at, { maxBytes: CONTROL_BATCH_MAX_BYTES })) {
    const type = controlType(record.key);
    if (type !== ControlType.abort && type !== ControlType.commit) return;
    const marker = {
      producerId: producerId(b, at),
      producerEpoch: producerEpoch(b, at),
      coordinatorEpoch: coordinatorEpoch(record.value),
      timestampMs: record.timestampMs,
    };
    state.applyMarker(marker, record.offset);
    return;
  }
}
