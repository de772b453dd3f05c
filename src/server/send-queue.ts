/**
 * Answers on their way to one socket. Small pieces are gathered into one write, large ones are written from where they lie, and what is
 * stored in a file is read when the socket has room for it, or sent from the page cache as it lies there: a client that does not read keeps
 * no records in memory. What the socket does not take waits for it to drain.
 */
import { type Chunk, isStored, releaseChunks, type StoredBytes } from "../bytes/chunks.ts";
import type { Socket } from "../io/net.ts";

/** Pieces below this are copied together rather than written one by one: a write costs more than copying this much. */
const GATHER_PIECE_BYTES = 32 * 1024;
/** The most of one write. Measured with 256 KiB to 1 MiB: the larger, the less the system does for each byte. */
const GATHER_BYTES = 1024 * 1024;
/** Stored pieces below this are read and gathered: to send a file costs a call that is slow for little. */
const SEND_FILE_BYTES = 64 * 1024;
/**
 * From this much on, files are sent: less has been copied before a client that waits is awake. Measured with socket buffers of 256 KiB (`server.send_buffer_bytes`):
 * half the CPU of copying, for answers of 1 MiB and of 8. With buffers that the system lets grow, what it saves goes to waking the client over and
 * over, and the client pays more for memory that has left the cache.
 */
const LONG_BYTES = 256 * 1024;
/** How much is written to hear from a full socket when it drains: the system tells nothing of it after a file was sent. */
const PROBE_BYTES = 4096;
/** The most of one sending of a file: about what a socket has room for. Whether more is in the page cache would be asked in vain. */
const SEND_AT_ONCE_BYTES = 256 * 1024;
/** The most that one read from the disk itself brings. */
const COLD_READ_BYTES = 256 * 1024;
/** The most that one `flush` writes: others have their turn. */
const FLUSH_BYTES = 4 * 1024 * 1024;
/** A piece that has to wait is copied when it is less than this part of the memory that it keeps alive. */
const KEPT_PART = 4;

/** One for all queues: the system has copied it when `write` returns. */
const gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);

/** Told of what was read from the disk itself for a queue. */
export interface SendQueueOwner {
  /** `flush` can go on. */
  onRead(): void;
  /** An answer that has begun cannot be finished: the connection is of no use any more. */
  onUnreadable(reason: string): void;
}

/** Bytes `from` to `to` of the queue's first piece, read from the disk. */
interface ColdPart {
  readonly from: number;
  readonly to: number;
  readonly bytes: Buffer;
}

export class SendQueue {
  /** Not yet taken by the socket. */
  bytes = 0;
  /** Of these, what is in memory. */
  heldBytes = 0;
  /** The socket took less than it was given: nothing more is tried until it drains. */
  isBlocked = false;
  private readonly socket: Socket;
  private readonly owner: SendQueueOwner;
  private readonly pieces: Chunk[] = [];
  /** The first piece that was not taken whole, and how much of it was. */
  private head = 0;
  private headTaken = 0;
  /** Pieces before this one keep no more alive than they count for. */
  private trimmed = 0;
  /** Since it was empty last it has held so much that files are sent. */
  private isLong = false;
  /** The first piece's file is being read in a thread. */
  private isReading = false;
  private cold: ColdPart | null = null;
  /** Grows when everything is dropped: a read that comes back later is nobody's. */
  private clears = 0;

  constructor(socket: Socket, owner: SendQueueOwner) {
    this.socket = socket;
    this.owner = owner;
  }

  /** Takes the pieces over. Those in memory are referenced until they were taken: they must not change. */
  push(pieces: readonly Chunk[]): void {
    for (const piece of pieces) {
      if (piece.byteLength === 0) {
        if (isStored(piece)) piece.release();
        continue;
      }
      this.pieces.push(piece);
      this.bytes += piece.byteLength;
      if (!isStored(piece)) this.heldBytes += piece.byteLength;
    }
    if (this.bytes >= LONG_BYTES) this.isLong = true;
  }

  /** Whether `flush` would write something. */
  get mayFlush(): boolean {
    return this.bytes > 0 && !this.isBlocked && !this.isReading;
  }

  /** Writes what the socket takes, within a turn's share; returns how much that was. */
  flush(): number {
    if (!this.mayFlush) return 0;
    const before = this.bytes;
    while (this.mayFlush && before - this.bytes < FLUSH_BYTES) this.writeSome();
    if (this.bytes === 0) this.clear();
    else this.trim();
    return before - this.bytes;
  }

  /** The socket drained: `flush` may try again. */
  unblock(): void {
    this.isBlocked = false;
  }

  /** Lets go of everything. */
  clear(): void {
    // A file that is being read is let go by its read.
    releaseChunks(this.isReading ? this.pieces.slice(this.head + 1) : this.pieces.slice(this.head));
    this.pieces.length = 0;
    this.bytes = 0;
    this.heldBytes = 0;
    this.head = 0;
    this.headTaken = 0;
    this.trimmed = 0;
    this.cold = null;
    this.isReading = false;
    this.isLong = false;
    this.clears++;
  }

  private writeSome(): void {
    const first = this.pieces[this.head]!;
    if (this.cold !== null)
      return this.writeFrom(this.cold.bytes, this.headTaken - this.cold.from, this.cold.to - this.headTaken);
    if (!isStored(first) && this.isLarge(first)) return this.writeFrom(first, this.headTaken, first.byteLength - this.headTaken);
    const sent = isStored(first) ? this.sendStored(first) : -1;
    if (sent > 0) return this.advance(sent);
    const size = this.gather(sent === 0 ? PROBE_BYTES : GATHER_BYTES);
    if (size > 0) return this.writeFrom(gathered, 0, size);
    this.readCold(first as StoredBytes);
  }

  /** Whether to write a piece of memory from where it lies. */
  private isLarge(piece: Uint8Array): boolean {
    const next = this.pieces[this.head + 1];
    if (next === undefined || piece.byteLength - this.headTaken >= GATHER_PIECE_BYTES) return true;
    return !isStored(next) && next.byteLength >= GATHER_PIECE_BYTES;
  }

  /** As StoredBytes.sendHot, for what is left of the first piece. */
  private sendStored(first: StoredBytes): number {
    const left = first.byteLength - this.headTaken;
    if (!this.isSent(left)) return -1;
    return first.sendHot(this.socket.descriptor, this.headTaken, Math.min(left, SEND_AT_ONCE_BYTES));
  }

  /** Whether so much of a stored piece is sent rather than read, where it can be. */
  private isSent(bytes: number): boolean {
    return this.isLong && bytes >= SEND_FILE_BYTES && this.socket.descriptor >= 0;
  }

  private writeFrom(bytes: Uint8Array, at: number, length: number): void {
    const taken = this.socket.write(bytes, at, length);
    if (taken < length) this.isBlocked = true; // -1, too: the socket is closed and will say so
    if (taken > 0) this.advance(taken);
  }

  /** Puts the next pieces together, as far as they are at hand; 0 when the first of them has to be read from the disk. */
  private gather(mostBytes: number): number {
    let size = 0;
    let skip = this.headTaken;
    for (let index = this.head; index < this.pieces.length && size < mostBytes; index++) {
      const piece = this.pieces[index]!;
      const left = piece.byteLength - skip;
      if (isStored(piece)) {
        if (size > 0 && this.isSent(left)) break;
        const wanted = Math.min(left, mostBytes - size);
        const got = piece.readHot(gathered.subarray(size, size + wanted), skip);
        if (got > 0) size += got;
        if (got < left) break;
      } else {
        if (left >= GATHER_PIECE_BYTES || size + left > mostBytes) break;
        gathered.set(skip === 0 ? piece : piece.subarray(skip), size);
        size += left;
      }
      skip = 0;
    }
    return size;
  }

  private readCold(piece: StoredBytes): void {
    const { clears, headTaken: from } = this;
    const bytes = Buffer.allocUnsafeSlow(Math.min(COLD_READ_BYTES, piece.byteLength - from));
    this.isReading = true;
    const end = (got: number, problem: string): void => {
      if (clears !== this.clears) return piece.release();
      this.isReading = false;
      if (got < bytes.length) return this.owner.onUnreadable(problem);
      this.cold = { from, to: from + got, bytes };
      this.heldBytes += got;
      this.owner.onRead();
    };
    piece.readCold(bytes, from).then(
      (got) => end(got, "the file has lost its end"),
      (error) => end(-1, String(error)),
    );
  }

  private advance(taken: number): void {
    this.bytes -= taken;
    this.headTaken += taken;
    if (this.cold !== null && this.headTaken >= this.cold.to) this.dropCold(this.cold);
    while (this.head < this.pieces.length && this.headTaken >= this.pieces[this.head]!.byteLength) {
      const piece = this.pieces[this.head]!;
      this.headTaken -= piece.byteLength;
      this.head++;
      if (isStored(piece)) piece.release();
      else this.heldBytes -= piece.byteLength;
    }
  }

  private dropCold({ bytes }: ColdPart): void {
    this.cold = null;
    this.heldBytes -= bytes.length;
  }

  /** Drops what was taken, and copies small views of large buffers: a client that does not read must not keep those alive. */
  private trim(): void {
    if (this.head > 0) {
      this.pieces.splice(0, this.head);
      this.trimmed = Math.max(0, this.trimmed - this.head);
      this.head = 0;
    }
    for (; this.trimmed < this.pieces.length; this.trimmed++) {
      const piece = this.pieces[this.trimmed]!;
      if (!isStored(piece) && piece.byteLength * KEPT_PART < piece.buffer.byteLength)
        this.pieces[this.trimmed] = exactCopy(piece);
    }
  }
}

function exactCopy(piece: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(piece.byteLength);
  copy.set(piece);
  return copy;
}
