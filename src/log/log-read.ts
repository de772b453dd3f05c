/** Reading a log's files: from segment to segment, and again when an index turns out to be wrong. */
import { DiskError } from "../io/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import { SWAP_SUFFIX, WRONG_INDEX_PATH } from "./file-names.ts";
import { FileSlice } from "./file-slice.ts";
import { CorruptLog, extendIndexes } from "./index-recovery.ts";
import type { Log } from "./log.ts";
import type { Segment } from "./segment.ts";
import { locate } from "./segment-locate.ts";
import {
  BEYOND_SEGMENT,
  type LogRead,
  NOTHING_READ,
  type ReadLimits,
  readSegment,
  type StoredRead,
  WrongIndex,
} from "./segment-read.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

const NONE_ABORTED: AbortedTransaction[] = [];

export class LogReader {
  private readonly log: Log;
  private readonly rebuilding = new Map<Segment, Promise<void>>();

  constructor(log: Log) {
    this.log = log;
  }

  /** From the batch that holds or follows `offset` on; see Log.read. */
  read(offset: number, limits: ReadLimits): LogRead | Promise<LogRead> {
    const { segments } = this.log;
    try {
      for (let i = this.log.segmentIndexOf(offset); i < segments.length; i++) {
        const segment = segments[i]!;
        const read = readSegment(segment, offset, limits);
        if (read instanceof Promise) return this.readLate(read, offset, limits, segment);
        if (read !== BEYOND_SEGMENT) return read;
      }
      return NOTHING_READ;
    } catch (error) {
      return this.readAgain(error, offset, limits);
    }
  }

  /** As `read`; what is checked already is only located. See Log.readStored. */
  readStored(offset: number, limits: ReadLimits): StoredRead | Promise<StoredRead> {
    const segment = this.log.segments[this.log.segmentIndexOf(offset)]!;
    try {
      const located = this.locate(segment, offset, limits);
      if (located !== null) return located;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error; // the read below will tell
    }
    const checked = this.read(offset, { ...limits, checkOnly: true });
    if (checked instanceof Promise) return checked.then((late) => this.store(late) ?? this.log.read(offset, limits));
    return this.store(checked) ?? this.read(offset, limits);
  }

  /** What was read and checked, as it lies in the file; null if its file cannot be kept open: too many are, or it left the log just now. */
  private store({ bytes, nextOffset, place }: LogRead): StoredRead | null {
    if (place === null) return NOTHING_READ;
    try {
      const slice = this.slice(place.segment, place.position, bytes);
      return slice === null ? null : { chunks: [slice], bytes, nextOffset };
    } catch (error) {
      if (error instanceof DiskError) return null; // reading it again will tell
      throw error;
    }
  }

  private slice(segment: Segment, position: number, bytes: number): FileSlice | null {
    const { files } = this.log.shared;
    const handle = files.borrow(segment.log);
    return handle === null ? null : new FileSlice(this.log, files, handle, position, bytes);
  }

  private locate(segment: Segment, offset: number, limits: ReadLimits): StoredRead | null {
    const { log } = this;
    const limitPosition = log.positionOf(limits.limitOffset, segment);
    const located = limitPosition < 0 ? null : locate(segment, offset, limits, limitPosition);
    if (located === null) return null;
    const { from, to, nextOffset } = located;
    if (to === from) return NOTHING_READ;
    const slice = this.slice(segment, from, to - from);
    return slice === null ? null : { chunks: [slice], bytes: to - from, nextOffset };
  }

  /** See Log.abortedTransactions. */
  abortedTransactions(from: number, upperBound: number): AbortedTransaction[] | Promise<AbortedTransaction[]> {
    const segments = this.log.segments
      .slice(this.log.segmentIndexOf(from))
      .filter(({ transactions: { file } }) => file.count > 0);
    return segments.length === 0 ? NONE_ABORTED : this.collectAborted(segments, from, upperBound);
  }

  private async collectAborted(segments: readonly Segment[], from: number, upperBound: number): Promise<AbortedTransaction[]> {
    const { cuts, swaps } = this.log;
    const found: AbortedTransaction[] = [];
    try {
      for (const { transactions } of segments) if (await transactions.collect(from, upperBound, found)) break;
      return found;
    } catch (error) {
      if (cuts !== this.log.cuts) return []; // what was read is gone too
      if (swaps !== this.log.swaps && this.log.offline === null) return await this.abortedTransactions(from, upperBound);
      throw this.toKafkaError(error);
    }
  }

  /** Rebuilds a segment's indexes from its data, off the loop. Rejects with CORRUPT_MESSAGE if the data is bad too. */
  rebuildIndexes(segment: Segment): Promise<void> {
    let rebuilding = this.rebuilding.get(segment);
    if (rebuilding === undefined) {
      rebuilding = this.rebuild(segment).finally(() => this.rebuilding.delete(segment));
      this.rebuilding.set(segment, rebuilding);
    }
    return rebuilding;
  }

  /** What a reader gets to hear of an error. */
  toKafkaError(error: unknown): unknown {
    const { name, shared } = this.log;
    if (error instanceof DiskError) return new KafkaError("KAFKA_STORAGE_ERROR", `Error while reading ${name}: ${error.message}`);
    if (error instanceof KafkaError && error.error === "CORRUPT_MESSAGE")
      shared.logger.error("corrupt data in a log", { log: name, reason: error.message });
    return error;
  }

  private async readLate(pending: Promise<LogRead>, offset: number, limits: ReadLimits, segment: Segment): Promise<LogRead> {
    const { log } = this;
    const { cuts, swaps } = log;
    try {
      const read = await pending;
      if (cuts !== log.cuts) return NOTHING_READ;
      // Below the log's start by now, or where other segments may hold what this one does not.
      if (offset < log.logStartOffset || (swaps !== log.swaps && read === BEYOND_SEGMENT)) return await log.read(offset, limits);
      const next = log.segments[log.segmentIndexOf(segment.baseOffset) + 1];
      if (read !== BEYOND_SEGMENT || next === undefined || next.baseOffset >= limits.limitOffset) return read;
      return await this.read(Math.max(offset, next.baseOffset), limits);
    } catch (error) {
      if (cuts !== log.cuts) return NOTHING_READ;
      if (swaps !== log.swaps && log.offline === null) return await log.read(offset, limits); // closed under our hands
      return await this.readAgain(error, offset, limits);
    }
  }

  /** Runs a search that uses indexes; a wrong one is rebuilt, and the search run once more. Again too when segments went meanwhile. Rejects with KafkaError. */
  async withGoodIndexes<T>(search: () => Promise<T>): Promise<T> {
    const { swaps } = this.log;
    try {
      try {
        return await search();
      } catch (error) {
        if (swaps !== this.log.swaps) return await this.withGoodIndexes(search);
        const wrong = this.segmentWithWrongIndex(error);
        if (wrong === null) throw error;
        await this.rebuildIndexes(wrong);
        return await search();
      }
    } catch (error) {
      if (swaps !== this.log.swaps && this.log.offline === null) return await this.withGoodIndexes(search);
      throw this.toKafkaError(error);
    }
  }

  /** A wrong index is rebuilt and the read done once more; anything else is the reader's to hear. */
  private async readAgain(error: unknown, offset: number, limits: ReadLimits): Promise<LogRead> {
    const { cuts, swaps } = this.log;
    const wrong = this.segmentWithWrongIndex(error);
    if (wrong === null) throw this.toKafkaError(error);
    try {
      await this.rebuildIndexes(wrong);
      if (cuts !== this.log.cuts) return NOTHING_READ;
      return swaps === this.log.swaps ? await readSegment(wrong, offset, limits) : await this.log.read(offset, limits);
    } catch (again) {
      if (swaps !== this.log.swaps && this.log.offline === null) return await this.log.read(offset, limits);
      throw this.toKafkaError(again);
    }
  }

  /** The segment whose indexes are to blame for an error, null if none is. */
  private segmentWithWrongIndex(error: unknown): Segment | null {
    if (error instanceof WrongIndex) return error.segment;
    if (!(error instanceof DiskError && WRONG_INDEX_PATH.test(withoutSwap(error.path)))) return null;
    const path = withoutSwap(error.path); // it may have got its place meanwhile
    const has = ({ offsetIndex, timeIndex }: Segment) =>
      withoutSwap(offsetIndex.file.path) === path || withoutSwap(timeIndex.file.path) === path;
    return this.log.segments.find(has) ?? null;
  }

  private async rebuild(segment: Segment): Promise<void> {
    this.log.checkUsable(); // it may have been closed while it was read
    const { shared, config } = this.log;
    shared.logger.warn("an index does not fit its data: rebuilding it", { segment: segment.path });
    const rebuilt = this.log.makeSegment(segment.baseOffset);
    rebuilt.renamed(segment.nameSuffix);
    try {
      while (rebuilt.size < segment.size) await extendIndexes(rebuilt, segment.size, config.indexIntervalBytes);
    } catch (error) {
      throw error instanceof CorruptLog ? new KafkaError("CORRUPT_MESSAGE", error.message) : error;
    } finally {
      rebuilt.closeLog();
    }
    // It left the log meanwhile, or the log is no more: its directory may be another's by now.
    if (this.log.offline !== null || !this.log.segments.includes(segment)) return rebuilt.close();
    segment.adoptIndexes(rebuilt);
    if (segment === this.log.active) return;
    try {
      segment.finishIndexes();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      shared.logger.warn("a rebuilt index could not be written", { segment: segment.path, error: error.message });
    }
  }
}

const withoutSwap = (path: string): string => (path.endsWith(SWAP_SUFFIX) ? path.slice(0, -SWAP_SUFFIX.length) : path);
