/**
 * Decompression of a batch's records within a hard bound on the output, and the compression that our own writers use.
 * gzip and zstd are the runtime's; snappy and lz4 are ours (`snappy.ts`, `lz4.ts`).
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { KafkaError } from "../protocol/errors.ts";
import { Codec } from "./batch.ts";
import { badCompression, decompressedTooLarge } from "./errors.ts";
import { decompressLz4 } from "./lz4.ts";
import { decompressSnappy } from "./snappy.ts";
import { checkZstdFrames } from "./zstd.ts";

/**
 * The records of `bytes[start, end)` decompressed: a new buffer, or a view of `bytes` for no compression. Throws
 * - INVALID_RECORD if the compressed bytes are malformed (Kafka: KafkaException, answered UNKNOWN_SERVER_ERROR),
 * - MESSAGE_TOO_LARGE if they come to more than `maxBytes` (at least 1); no more than that is ever held. Kafka streams them and has no
 *   such bound; this code makes Java producers split the batch and try again,
 * - UNSUPPORTED_COMPRESSION_TYPE if no codec has that id (Kafka: IllegalArgumentException, answered UNKNOWN_SERVER_ERROR).
 */
export function decompress(codec: number, bytes: Buffer, start: number, end: number, maxBytes: number): Buffer {
  switch (codec) {
    case Codec.none:
      return bytes.subarray(start, end);
    case Codec.gzip:
      return builtIn(gunzipSync, bytes.subarray(start, end), maxBytes);
    case Codec.snappy:
      return decompressSnappy(bytes.subarray(start, end), maxBytes);
    case Codec.lz4:
      return decompressLz4(bytes.subarray(start, end), maxBytes);
    case Codec.zstd: {
      const frames = bytes.subarray(start, end);
      checkZstdFrames(frames);
      return builtIn(zstdDecompressSync, frames, maxBytes);
    }
    default:
      throw new KafkaError("UNSUPPORTED_COMPRESSION_TYPE", `Unknown compression type id: ${codec}`);
  }
}

/** `bytes` compressed, a new buffer. */
export function compress(codec: "gzip" | "zstd", bytes: Buffer): Buffer {
  return codec === "gzip" ? gzipSync(bytes) : zstdCompressSync(bytes);
}

type Decompressor = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;

function builtIn(decompressor: Decompressor, bytes: Buffer, maxBytes: number): Buffer {
  try {
    return decompressor(bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") throw decompressedTooLarge(maxBytes);
    throw badCompression((error as Error).message);
  }
}
