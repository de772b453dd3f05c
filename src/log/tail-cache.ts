/**
 * The newest batches of all logs, as they were received, for consumers that keep up. One byte budget for the broker: a batch keeps the
 * whole buffer alive that it came in, so buffers are what is counted. The oldest batch of all goes first.
 */

/** A received buffer, and how many cached batches lie in it. */
interface Backing {
  readonly bytes: number;
  batches: number;
}

interface CachedBatch {
  readonly bytes: Buffer;
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly log: LogTail;
  readonly generation: number;
  next: CachedBatch | null;
}

/** One log's part of the cache: batches without a gap, up to the log's end. */
export class LogTail {
  private readonly cache: TailCache;
  /** A ring: `count` batches from `first` on. */
  private ring: (CachedBatch | null)[] = new Array(8).fill(null);
  private first = 0;
  private count = 0;
  /** Batches of an older one were cleared. */
  generation = 0;

  constructor(cache: TailCache) {
    this.cache = cache;
  }

  /** First offset that is cached; Infinity when nothing is. */
  get startOffset(): number {
    return this.count === 0 ? Number.POSITIVE_INFINITY : this.at(0).baseOffset;
  }

  /** Adds the batch that was just appended. The bytes are kept, not copied: they must not change any more. */
  add(bytes: Buffer, baseOffset: number, lastOffset: number): void {
    this.cache.add({ bytes, baseOffset, lastOffset, log: this, generation: this.generation, next: null });
  }

  /**
   * Puts the batches from the one that holds `offset` on into `into`: whole ones, none that begins at or after `limitOffset`, no more
   * than `maxBytes` together, but one in any case if `atLeastOne`. Returns their bytes, or -1 if `offset` is not cached.
   */
  collect(offset: number, limitOffset: number, maxBytes: number, atLeastOne: boolean, into: Uint8Array[]): number {
    if (offset < this.startOffset) return -1;
    let bytes = 0;
    for (let i = this.find(offset); i < this.count; i++) {
      const batch = this.at(i);
      if (batch.baseOffset >= limitOffset) break;
      if (bytes + batch.bytes.length > maxBytes && !(atLeastOne && bytes === 0)) break;
      into.push(batch.bytes);
      bytes += batch.bytes.length;
    }
    return bytes;
  }

  /** Drops everything: the log was cut, or is no more. The memory is free when the cache has moved on. */
  clear(): void {
    this.ring = [];
    this.first = 0;
    this.count = 0;
    this.generation++;
  }

  /** For TailCache only. */
  push(batch: CachedBatch): void {
    if (this.count === this.ring.length) this.grow();
    this.ring[(this.first + this.count++) & (this.ring.length - 1)] = batch;
  }

  /** For TailCache only: the log's oldest batch is gone. */
  shift(): void {
    this.ring[this.first] = null;
    this.first = (this.first + 1) & (this.ring.length - 1);
    if (--this.count === 0 && this.ring.length > 8) {
      this.ring = new Array(8).fill(null);
      this.first = 0;
    }
  }

  private at(i: number): CachedBatch {
    return this.ring[(this.first + i) & (this.ring.length - 1)]!;
  }

  /** Index of the first batch that ends at or after `offset`. */
  private find(offset: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at(middle).lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private grow(): void {
    const larger: (CachedBatch | null)[] = new Array(Math.max(this.ring.length * 2, 8)).fill(null);
    for (let i = 0; i < this.count; i++) larger[i] = this.at(i);
    this.ring = larger;
    this.first = 0;
  }
}

export class TailCache {
  private readonly budgetBytes: number;
  private readonly backings = new Map<ArrayBufferLike, Backing>();
  private oldest: CachedBatch | null = null;
  private newest: CachedBatch | null = null;
  /** Bytes of all buffers that are kept alive. */
  bytes = 0;

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes;
  }

  /** For LogTail only. */
  add(batch: CachedBatch): void {
    const buffer = batch.bytes.buffer;
    let backing = this.backings.get(buffer);
    if (backing === undefined) {
      backing = { bytes: buffer.byteLength, batches: 0 };
      this.backings.set(buffer, backing);
      this.bytes += backing.bytes;
    }
    backing.batches++;
    batch.log.push(batch);
    if (this.newest === null) this.oldest = batch;
    else this.newest.next = batch;
    this.newest = batch;
    while (this.bytes > this.budgetBytes && this.oldest !== null) this.evict(this.oldest);
  }

  private evict(batch: CachedBatch): void {
    this.oldest = batch.next;
    if (this.oldest === null) this.newest = null;
    if (batch.generation === batch.log.generation) batch.log.shift();
    this.forget(batch);
  }

  private forget(batch: CachedBatch): void {
    const backing = this.backings.get(batch.bytes.buffer)!;
    if (--backing.batches > 0) return;
    this.backings.delete(batch.bytes.buffer);
    this.bytes -= backing.bytes;
  }
}
