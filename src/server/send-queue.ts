/**
 * Answers on their way to one socket. Small pieces are gathered into one write, large ones are written from where they lie; what
 * the socket does not take waits for it to drain.
 */
import type { Socket } from "../io/net.ts";

/** Pieces below this are copied together rather than written one by one: a write costs more than copying this much. */
const GATHER_PIECE_BYTES = 32 * 1024;
const GATHER_BYTES = 128 * 1024;
/** A piece that has to wait is copied when it is less than this part of the memory that it keeps alive. */
const KEPT_PART = 4;

/** One for all queues: the system has copied it when `write` returns. */
const gathered = Buffer.allocUnsafeSlow(GATHER_BYTES);

export class SendQueue {
  /** Not yet taken by the socket. */
  bytes = 0;
  /** The socket took less than it was given: nothing more is tried until it drains. */
  isBlocked = false;
  private readonly socket: Socket;
  private readonly pieces: Uint8Array[] = [];
  /** The first piece that was not taken whole, and how much of it was. */
  private head = 0;
  private headTaken = 0;
  /** Pieces before this one keep no more alive than they count for. */
  private trimmed = 0;

  constructor(socket: Socket) {
    this.socket = socket;
  }

  /** The pieces are referenced until they were taken: they must not change. */
  push(pieces: readonly Uint8Array[]): void {
    for (const piece of pieces) {
      if (piece.byteLength === 0) continue;
      this.pieces.push(piece);
      this.bytes += piece.byteLength;
    }
  }

  /** Writes what the socket takes; returns how much that was. */
  flush(): number {
    if (this.bytes === 0 || this.isBlocked) return 0;
    const before = this.bytes;
    while (this.bytes > 0 && !this.isBlocked) this.writeSome();
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
    this.pieces.length = 0;
    this.bytes = 0;
    this.head = 0;
    this.headTaken = 0;
    this.trimmed = 0;
  }

  private writeSome(): void {
    const first = this.pieces[this.head]!;
    const firstLeft = first.byteLength - this.headTaken;
    const next = this.pieces[this.head + 1];
    const alone = next === undefined || firstLeft >= GATHER_PIECE_BYTES || next.byteLength >= GATHER_PIECE_BYTES;
    const wanted = alone ? firstLeft : this.gather();
    const taken = alone ? this.socket.write(first, this.headTaken, wanted) : this.socket.write(gathered, 0, wanted);
    if (taken < wanted) this.isBlocked = true; // -1, too: the socket is closed and will say so
    if (taken > 0) this.advance(taken);
  }

  private gather(): number {
    let size = 0;
    let skip = this.headTaken;
    for (let index = this.head; index < this.pieces.length; index++) {
      const piece = this.pieces[index]!;
      const left = piece.byteLength - skip;
      if (left >= GATHER_PIECE_BYTES || size + left > GATHER_BYTES) break;
      gathered.set(skip === 0 ? piece : piece.subarray(skip), size);
      size += left;
      skip = 0;
    }
    return size;
  }

  private advance(taken: number): void {
    this.bytes -= taken;
    this.headTaken += taken;
    while (this.head < this.pieces.length && this.headTaken >= this.pieces[this.head]!.byteLength) {
      this.headTaken -= this.pieces[this.head]!.byteLength;
      this.head++;
    }
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
      if (piece.byteLength * KEPT_PART < piece.buffer.byteLength) this.pieces[this.trimmed] = exactCopy(piece);
    }
  }
}

function exactCopy(piece: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(piece.byteLength);
  copy.set(piece);
  return copy;
}
