/** Bytes that came from a client, and who still needs them: what the memory for requests is counted by. */

/** A sum of bytes; whoever owns it reads it. */
export interface ByteCount {
  bytes: number;
}

/**
 * One buffer from the network, or one assembled frame. Frames are views of it, and even a small view keeps the whole buffer
 * alive, so it counts whole until its last user is done. It begins with one user: whoever made it.
 */
export class Received {
  readonly buffer: Buffer;
  /** A handler got views of it that it may keep: it is freed when it is collected. */
  isShared = false;
  private users = 1;
  private readonly count: ByteCount;

  constructor(buffer: Buffer, count: ByteCount) {
    this.buffer = buffer;
    this.count = count;
    count.bytes += buffer.byteLength;
  }

  retain(): void {
    this.users++;
  }

  release(): void {
    if (--this.users > 0) return;
    this.count.bytes -= this.buffer.byteLength;
    if (!this.isShared) free(this.buffer);
  }
}

/** Gives memory back now rather than when it is collected: the next buffer then lies in the same, warm pages. */
function free({ buffer, byteLength }: Buffer): void {
  if (buffer.byteLength === byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** One request without its size: `received.buffer` from `at` to `limit`. Its owner is a user of `received`. */
export class Frame {
  readonly received: Received;
  readonly at: number;
  readonly limit: number;

  constructor(received: Received, at: number, limit: number) {
    this.received = received;
    this.at = at;
    this.limit = limit;
  }

  get bytes(): number {
    return this.limit - this.at;
  }
}
