/** The first half of a cleaning: which offset of each key is the newest. Source: Cleaner.buildOffsetMap. */
import type { Disk } from "../io/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  batchBytes,
  compressionType,
  isControl,
  lastOffset,
  recordCount,
} from "../record/batch.ts";
import { decompress } from "../record/compression.ts";
import { RecordWalk } from "../record/record-walk.ts";
import { BatchReader } from "./batch-reader.ts";
import type { CleanableSegment, CleanJob, CleanStats } from "./clean-job.ts";
import { CleanTransactions } from "./clean-transactions.ts";
import { MAP_ENTRY_BYTES, OffsetMap } from "./offset-map.ts";

/** Where a cleaning gets its disk and its time from. */
export interface CleanSeam {
  readonly disk: Disk;
  /** So many bytes were read or written: resolves when it may go on. Rejects with CleaningStopped. */
  pace(bytes: number): Promise<void>;
}

/** Maps the dirty part of a log, as far as the map holds it. Throws DiskError, CorruptLog, INVALID_RECORD, what `pace` rejects with. */
export async function buildOffsetMap(job: CleanJob, seam: CleanSeam, stats: CleanStats): Promise<OffsetMap> {
  const { limits, segments, firstDirtyOffset, endOffset } = job;
  const map = new OffsetMap(mapBytes(job), job.seed);
  const limit = Math.min(Math.floor(map.slots * limits.loadFactor), map.slots - 1);
  const building = new MapBuilder(job, map, limit);
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1]?.baseOffset ?? endOffset;
    if (next <= firstDirtyOffset) continue;
    if (!(await building.add(segment, seam, stats))) break;
    map.latestOffset = next - 1;
  }
  stats.keys = map.size;
  return map;
}

/** No more than was allowed, and no more than the dirty offsets can need. */
function mapBytes({ limits, firstDirtyOffset, endOffset }: CleanJob): number {
  const needed = (Math.ceil((endOffset - firstDirtyOffset) / limits.loadFactor) + 2) * MAP_ENTRY_BYTES;
  return Math.min(limits.dedupeBufferBytes, needed);
}

class MapBuilder {
  private readonly job: CleanJob;
  private readonly map: OffsetMap;
  private readonly limit: number;
  private readonly transactions: CleanTransactions;

  constructor(job: CleanJob, map: OffsetMap, limit: number) {
    this.job = job;
    this.map = map;
    this.limit = limit;
    const readFrom = job.segments.findLast((segment) => segment.baseOffset <= job.firstDirtyOffset)?.baseOffset ?? 0;
    this.transactions = new CleanTransactions(job.aborted.filter(({ lastOffset }) => lastOffset >= readFrom));
  }

  /** False: the map is full. */
  async add(segment: CleanableSegment, seam: CleanSeam, stats: CleanStats): Promise<boolean> {
    const { job, map } = this;
    const reader = new BatchReader(seam.disk, job.directory, segment, job.limits.ioBufferBytes / 2);
    try {
      while (reader.next()) {
        const read = reader.takeRead();
        if (read > 0) await seam.pace(read);
        const { buffer: b, at } = reader;
        const last = lastOffset(b, at);
        if (last >= job.firstDirtyOffset || isControl(b, at)) reader.checkCrc();
        if (isControl(b, at)) this.transactions.onControlBatch(b, at);
        else if (!this.transactions.onBatch(b, at) && last >= job.firstDirtyOffset && !this.addBatch(b, at, stats)) return false;
        if (last >= job.firstDirtyOffset) map.latestOffset = last;
      }
      return true;
    } finally {
      reader.close();
    }
  }

  private addBatch(b: Buffer, at: number, stats: CleanStats): boolean {
    const { map, limit } = this;
    const { firstDirtyOffset, limits } = this.job;
    if (recordCount(b, at) === 0) return true;
    const body = bodyOf(b, at, limits.maxDecompressedBytes);
    if (body === null) {
      stats.batchesKeptWhole++;
      return true;
    }
    const first = baseOffset(b, at);
    const walk = new RecordWalk(body, recordCount(b, at));
    while (walk.next()) {
      const offset = first + walk.offsetDelta;
      if (walk.keyBytes < 0 || offset < firstDirtyOffset) continue;
      if (!map.put(body, walk.keyAt, walk.keyAt + walk.keyBytes, offset, limit)) return false;
      map.latestOffset = offset;
    }
    return true;
  }
}

/** A batch's records, unpacked; null if they come to too much. */
export function bodyOf(b: Buffer, at: number, maxBytes: number): Buffer | null {
  try {
    return decompress(compressionType(b, at), b, at + BATCH_HEADER_BYTES, at + batchBytes(b, at), maxBytes);
  } catch (error) {
    if (error instanceof KafkaError && error.error === "MESSAGE_TOO_LARGE") return null;
    throw error;
  }
}
