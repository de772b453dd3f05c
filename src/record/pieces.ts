/**
 * Compressed bytes, unpacked piece by piece: what is held does not grow with what they come to. Walks over the records pull the pieces and
 * stop at the first fault. One at a time in a thread: all share their buffers and the runtime's decompressors.
 */
import { decompressedTooLarge } from "./errors.ts";

export interface Pieces {
  /** The next bytes, at least one: a view that is valid until the next call. Null at the end. Throws INVALID_RECORD, MESSAGE_TOO_LARGE. */
  next(): Buffer | null;
  /** Frees what was held. Call it once, at the end or when no more is wanted. */
  done(): void;
}

/** Size of most pieces: the records of a usual batch are one. */
export const PIECE_BYTES = 64 * 1024;

/** Where pieces of usual size are unpacked to. */
export const pieceBuffer = Buffer.allocUnsafeSlow(PIECE_BYTES);

/** Gives the memory of a buffer of its own back at once: the runtime would not get round to it within one request. */
export function free(owned: Buffer): void {
  if (owned !== pieceBuffer && owned.buffer instanceof ArrayBuffer) owned.buffer.transfer(0);
}

/** Passes pieces on until they come to more than `maxBytes`. */
export class Bounded implements Pieces {
  /** So much was passed on. */
  bytes = 0;
  private readonly pieces: Pieces;
  private readonly maxBytes: number;

  constructor(pieces: Pieces, maxBytes: number) {
    this.pieces = pieces;
    this.maxBytes = maxBytes;
  }

  next(): Buffer | null {
    const piece = this.pieces.next();
    if (piece === null) return null;
    this.bytes += piece.length;
    if (this.bytes > this.maxBytes) throw decompressedTooLarge(this.maxBytes);
    return piece;
  }

  done(): void {
    this.pieces.done();
  }
}

/** Bytes that were never compressed: one piece. */
export class WholePiece implements Pieces {
  private left: Buffer | null;

  constructor(bytes: Buffer) {
    this.left = bytes.length === 0 ? null : bytes;
  }

  next(): Buffer | null {
    const piece = this.left;
    this.left = null;
    return piece;
  }

  done(): void {}
}

/** All pieces in a new buffer. */
export function gather(pieces: Pieces): Buffer {
  const copies: Buffer[] = [];
  try {
    for (let piece = pieces.next(); piece !== null; piece = pieces.next()) {
      const copy = Buffer.allocUnsafeSlow(piece.length);
      copy.set(piece);
      copies.push(copy);
    }
  } finally {
    pieces.done();
  }
  if (copies.length === 1) return copies[0]!;
  const all = Buffer.concat(copies);
  for (const copy of copies) free(copy);
  return all;
}
