/** From the codec that a producer chose to the one that a topic asks for. Source: LogValidator.buildRecordsAndAssignOffsets, BrokerCompressionType. */
import { Codec, type CodecName } from "./batch.ts";
import { GzipCompressor, ZstdCompressor } from "./built-in.ts";
import { type Compressor, NoCompressor } from "./compressors.ts";
import { Lz4Compressor } from "./lz4-compress.ts";
import type { Pieces } from "./pieces.ts";
import { SnappyCompressor } from "./snappy-compress.ts";

/** How a topic stores its batches. The level means nothing to `none` and `snappy`. */
export interface Target {
  readonly codec: CodecName;
  readonly level: number;
}

/** A compressor for `target` whose output may come to `maxBytes`. */
export function newCompressor({ codec, level }: Target, maxBytes: number): Compressor {
  switch (codec) {
    case "none":
      return new NoCompressor(maxBytes);
    case "gzip":
      return new GzipCompressor(maxBytes, level);
    case "snappy":
      return new SnappyCompressor(maxBytes);
    case "lz4":
      return new Lz4Compressor(maxBytes, level);
    case "zstd":
      return new ZstdCompressor(maxBytes, level);
  }
}

/** Whether a batch of this codec is stored in another one. A batch that has the topic's codec keeps its bytes, whatever its level. */
export const isRecompressed = (codec: number, target: Target | null): target is Target =>
  target !== null && Codec[target.codec] !== codec;

/** Passes pieces on, and to a compressor on the way. */
export class Tee implements Pieces {
  private readonly pieces: Pieces;
  private readonly compressor: Compressor;

  constructor(pieces: Pieces, compressor: Compressor) {
    this.pieces = pieces;
    this.compressor = compressor;
  }

  next(): Buffer | null {
    const piece = this.pieces.next();
    if (piece !== null) this.compressor.write(piece);
    return piece;
  }

  done(): void {
    this.pieces.done();
  }
}
