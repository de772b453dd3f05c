/** Compression piece by piece into memory with a bound: the common part of all codecs. */

/** A compressor takes pieces and then gives all that they became. */
export interface Compressor {
  /** The piece is only looked at during the call. */
  write(piece: Buffer): void;
  /** The compressed bytes behind `before` free bytes: a new buffer. Null if they came to more than the bound; no more than that is held. */
  finish(before: number): Buffer | null;
}

/** What was written so far, until it is too much. */
export class BoundedOutput {
  private readonly maxBytes: number;
  private chunks: Buffer[] = [];
  private bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get isTooMuch(): boolean {
    return this.bytes > this.maxBytes;
  }

  /** Copies the bytes. */
  add(bytes: Buffer): void {
    this.bytes += bytes.length;
    if (this.isTooMuch) this.chunks = [];
    else this.chunks.push(Buffer.from(bytes));
  }

  take(before: number): Buffer | null {
    if (this.isTooMuch) return null;
    const all = Buffer.allocUnsafeSlow(before + this.bytes);
    let at = before;
    for (const chunk of this.chunks) at += chunk.copy(all, at);
    return all;
  }
}

/** No compression. */
export class NoCompressor implements Compressor {
  private readonly output: BoundedOutput;

  constructor(maxBytes: number) {
    this.output = new BoundedOutput(maxBytes);
  }

  write(piece: Buffer): void {
    this.output.add(piece);
  }

  finish(before: number): Buffer | null {
    return this.output.take(before);
  }
}

/** Cuts what comes into blocks of one size, the last one shorter. */
export abstract class BlockCompressor implements Compressor {
  protected readonly output: BoundedOutput;
  private readonly pending: Buffer;
  private pendingBytes = 0;

  constructor(maxBytes: number, blockBytes: number) {
    this.output = new BoundedOutput(maxBytes);
    this.pending = Buffer.allocUnsafe(blockBytes);
  }

  write(piece: Buffer): void {
    for (let at = 0; at < piece.length && !this.output.isTooMuch; ) {
      const blockBytes = this.pending.length;
      if (this.pendingBytes === 0 && piece.length - at >= blockBytes) {
        this.block(piece.subarray(at, at + blockBytes));
        at += blockBytes;
        continue;
      }
      const count = piece.copy(this.pending, this.pendingBytes, at);
      at += count;
      this.pendingBytes += count;
      if (this.pendingBytes === blockBytes) this.flush();
    }
  }

  finish(before: number): Buffer | null {
    if (this.pendingBytes > 0) this.flush();
    this.end();
    return this.output.take(before);
  }

  private flush(): void {
    this.block(this.pending.subarray(0, this.pendingBytes));
    this.pendingBytes = 0;
  }

  /** Adds one block, of at least one byte, to the output. */
  protected abstract block(input: Buffer): void;
  /** Adds what stands behind the last block. */
  protected abstract end(): void;
}
