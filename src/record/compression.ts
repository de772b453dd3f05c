/**
 * Decompression of a batch's records within a hard bound on the output.
 * gzip and zstd are the runtime's (`built-in.ts`); snappy and lz4 are ours (`snappy.ts`, `lz4.ts`).
 */
import { KafkaError } from "../protocol/errors.ts";
import { Codec } from "./batch.ts";
import { GzipPieces, ZstdPieces } from "./built-in.ts";
import { Lz4Pieces } from "./lz4.ts";
import { Bounded, gather, type Pieces, WholePiece } from "./pieces.ts";
import { SnappyPieces } from "./snappy.ts";

/**
 * The records of `bytes[start, end)` decompressed: a new buffer, or a view of `bytes` for no compression. Throws
 * - INVALID_RECORD if the compressed bytes are malformed (Kafka: KafkaException, answered UNKNOWN_SERVER_ERROR),
 * - MESSAGE_TOO_LARGE if they come to more than `maxBytes` (at least 1); no more than that is ever held. Kafka streams them and has no
 *   such bound; this code makes Java producers split the batch and try again,
 * - UNSUPPORTED_COMPRESSION_TYPE if no codec has that id (Kafka: IllegalArgumentException, answered UNKNOWN_SERVER_ERROR).
 */
export function decompress(codec: number, bytes: Buffer, start: number, end: number, maxBytes: number): Buffer {
  const compressed = bytes.subarray(start, end);
  return codec === Codec.none ? compressed : gather(new Bounded(unpack(codec, compressed), maxBytes));
}

/**
 * The same piece by piece and without a bound. What it holds is small, but for zstd: its frames ask for a window, and are refused if that is
 * more than `zstdWindowMaxBytes` (MESSAGE_TOO_LARGE).
 */
export function unpack(codec: number, bytes: Buffer, zstdWindowMaxBytes: number = Number.POSITIVE_INFINITY): Pieces {
  switch (codec) {
    case Codec.none:
      return new WholePiece(bytes);
    case Codec.gzip:
      return new GzipPieces(bytes);
    case Codec.snappy:
      return new SnappyPieces(bytes);
    case Codec.lz4:
      return new Lz4Pieces(bytes);
    case Codec.zstd:
      return new ZstdPieces(bytes, zstdWindowMaxBytes);
    default:
      throw new KafkaError("UNSUPPORTED_COMPRESSION_TYPE", `Unknown compression type id: ${codec}`);
  }
}
