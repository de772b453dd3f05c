/**
 * gzip and zstd by the runtime's own codecs, driven a buffer at a time. node:zlib's synchronous functions hold all of the output and are
 * slower, its streams are asynchronous; what both stand on (`_handle.writeSync`, in Node as in Bun) is neither, and can be used again.
 */
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from "node:zlib";
import { assert } from "../base/assert.ts";
import { BoundedOutput, type Compressor } from "./compressors.ts";
import { badCompression, looksBackTooFar } from "./errors.ts";
import { PIECE_BYTES, type Pieces, pieceBuffer } from "./pieces.ts";
import { checkZstdFrames, type ZstdFrames } from "./zstd.ts";

/** Decompressors of zstd are used again, but not those with a larger window: the usual levels of zstd have one of 2 MiB. */
const ZSTD_KEPT_BYTES = 2 * 1024 * 1024;

/** The part of a node:zlib stream that is used here. `_writeState` holds what is left after a write: of the output, of the input. */
interface Native {
  readonly _handle: {
    onerror: (message: string) => void;
    writeSync(
      flush: number,
      input: Buffer | null,
      inputAt: number,
      inputBytes: number,
      output: Buffer,
      outputAt: number,
      outputBytes: number,
    ): void;
    reset(): void;
    close(): void;
  };
  readonly _writeState: Uint32Array;
}

/** One native codec. Errors are given by the runtime in its own words, and kept in `problem`. */
export class NativeCodec {
  problem: string | null = null;
  /** Of the last write. */
  written = 0;
  /** Of the last write: input that was not taken. */
  left = 0;
  private readonly native: Native;

  constructor(stream: unknown) {
    this.native = stream as Native;
    this.native._handle.onerror = (message) => {
      this.problem = message;
    };
  }

  /** Forgets all of what came before. */
  reset(): void {
    this.problem = null;
    this.native._handle.reset();
  }

  /** Takes from `input[at, at + bytes)`, writes to `output[outputAt...]`; see `written`, `left` and `problem`. */
  write(flush: number, input: Buffer, at: number, bytes: number, output: Buffer, outputAt: number): void {
    const room = output.length - outputAt;
    const { _handle, _writeState } = this.native;
    _handle.writeSync(flush, input, at, bytes, output, outputAt, room);
    this.written = room - _writeState[0]!;
    this.left = _writeState[1]!;
  }

  close(): void {
    this.native._handle.close();
  }
}

/** With it, gzip that ends early is an error. */
const ALL_OF_IT = constants.Z_FINISH;

let gunzip: NativeCodec | null = null;

/** gzip: one or more members. Zeros behind the last one are padding, as for gzip itself. */
export class GzipPieces implements Pieces {
  private readonly bytes: Buffer;
  private readonly codec: NativeCodec;
  private at = 0;
  private isOver = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    gunzip ??= new NativeCodec(createGunzip());
    this.codec = gunzip;
    this.codec.reset();
  }

  next(): Buffer | null {
    if (this.isOver) return null;
    const { codec, bytes } = this;
    codec.write(ALL_OF_IT, bytes, this.at, bytes.length - this.at, pieceBuffer, 0);
    if (codec.problem !== null) throw badCompression(codec.problem);
    this.at = bytes.length - codec.left;
    this.isOver = codec.written < PIECE_BYTES;
    return codec.written === 0 ? null : pieceBuffer.subarray(0, codec.written);
  }

  done(): void {}
}

let zstd: NativeCodec | null = null;

/** zstd: one or more frames, of which none may refer back by more than `windowMaxBytes`. */
export class ZstdPieces implements Pieces {
  private readonly frames: ZstdFrames;
  private readonly codec: NativeCodec;
  private part = 0;
  private at = 0;
  /** What came out of the rest of a narrowed frame. */
  private narrowedBytes = 0;

  constructor(bytes: Buffer, windowMaxBytes: number) {
    this.frames = checkZstdFrames(bytes, windowMaxBytes);
    zstd ??= new NativeCodec(createZstdDecompress());
    this.codec = zstd;
    this.codec.reset();
  }

  next(): Buffer | null {
    const { codec, frames } = this;
    let filled = 0;
    while (filled < PIECE_BYTES && this.part < frames.parts.length) {
      const { bytes, maxContentBytes } = frames.parts[this.part]!;
      const left = bytes.length - this.at;
      codec.write(constants.ZSTD_e_continue, bytes, this.at, left, pieceBuffer, filled);
      if (codec.problem !== null) throw badCompression(codec.problem);
      if (left > 0 && codec.left === left && codec.written === 0) throw badCompression("zstd: a frame does not go on");
      this.at = bytes.length - codec.left;
      filled += codec.written;
      this.count(codec.written, maxContentBytes);
      if (codec.left > 0 || filled === PIECE_BYTES) continue;
      this.part++;
      this.at = 0;
    }
    return filled === 0 ? null : pieceBuffer.subarray(0, filled);
  }

  done(): void {
    if (this.frames.windowBytes <= ZSTD_KEPT_BYTES) return;
    zstd?.close(); // with its window
    zstd = null;
  }

  private count(written: number, maxBytes: number | null): void {
    this.narrowedBytes = maxBytes === null ? 0 : this.narrowedBytes + written;
    if (maxBytes !== null && this.narrowedBytes > maxBytes) throw looksBackTooFar("zstd", maxBytes);
  }
}

/** Where compressed bytes are written to; the pieces that they are made of are still being read. */
const compressedBuffer = Buffer.allocUnsafeSlow(PIECE_BYTES);

/** Writes `input` and what `flush` asks for to `output`. */
function compressInto(output: BoundedOutput, codec: NativeCodec, flush: number, input: Buffer): void {
  let at = 0;
  do {
    codec.write(flush, input, at, input.length - at, compressedBuffer, 0);
    assert(codec.problem === null, `compression failed: ${codec.problem}`);
    at = input.length - codec.left;
    output.add(compressedBuffer.subarray(0, codec.written));
  } while (codec.written === PIECE_BYTES || at < input.length);
}

/** The last one is kept: a broker has few levels. */
let gzip: { readonly level: number; readonly codec: NativeCodec } | null = null;

/** `level` is -1 (the default) or 1 to 9. */
export class GzipCompressor implements Compressor {
  private readonly output: BoundedOutput;
  private readonly codec: NativeCodec;

  constructor(maxBytes: number, level: number) {
    this.output = new BoundedOutput(maxBytes);
    if (gzip?.level !== level) {
      gzip?.codec.close();
      gzip = { level, codec: new NativeCodec(createGzip({ level })) };
    }
    this.codec = gzip.codec;
    this.codec.reset();
  }

  write(piece: Buffer): void {
    if (!this.output.isTooMuch) compressInto(this.output, this.codec, constants.Z_NO_FLUSH, piece);
  }

  finish(before: number): Buffer | null {
    compressInto(this.output, this.codec, constants.Z_FINISH, NOTHING);
    return this.output.take(before);
  }
}

const NOTHING = Buffer.alloc(0);

/** So much is gathered before zstd begins: it takes memory by the size of what it gets, where it knows that from the start. */
const ZSTD_GATHERED_BYTES = 4 * 1024 * 1024;
/** Beyond that, its window is as large. */
const ZSTD_STREAM_WINDOW_LOG = 22;

/** zstd; `level` is as zstd has them, up to 22. */
export class ZstdCompressor implements Compressor {
  private readonly output: BoundedOutput;
  private readonly level: number;
  private gathered: Buffer[] = [];
  private gatheredBytes = 0;
  /** Once it has begun. */
  private codec: NativeCodec | null = null;

  constructor(maxBytes: number, level: number) {
    this.output = new BoundedOutput(maxBytes);
    this.level = level;
  }

  write(piece: Buffer): void {
    if (this.output.isTooMuch) return;
    if (this.codec !== null) return compressInto(this.output, this.codec, constants.ZSTD_e_continue, piece);
    this.gathered.push(Buffer.from(piece));
    this.gatheredBytes += piece.length;
    if (this.gatheredBytes <= ZSTD_GATHERED_BYTES) return;
    this.codec = newZstd(this.level, ZSTD_STREAM_WINDOW_LOG);
    compressInto(this.output, this.codec, constants.ZSTD_e_continue, this.takeGathered());
  }

  finish(before: number): Buffer | null {
    this.codec ??= newZstd(this.level, 0);
    compressInto(this.output, this.codec, constants.ZSTD_e_end, this.takeGathered());
    this.codec.close();
    return this.output.take(before);
  }

  private takeGathered(): Buffer {
    const { gathered } = this;
    this.gathered = [];
    return gathered.length === 1 ? gathered[0]! : Buffer.concat(gathered);
  }
}

/** A `windowLog` of 0 is zstd's own choice. */
function newZstd(level: number, windowLog: number): NativeCodec {
  const params = {
    [constants.ZSTD_c_compressionLevel]: level,
    ...(windowLog > 0 && { [constants.ZSTD_c_windowLog]: windowLog }),
  };
  return new NativeCodec(createZstdCompress({ params }));
}
