/**
 * The costly step of validation: a batch's records are unpacked, walked over and, where the topic wants another codec, compressed again, all
 * in one pass that holds little but the result. It depends on nothing else, so that a thread can do it.
 */
import { KafkaError } from "../protocol/errors.ts";
import { BATCH_HEADER_BYTES, Codec } from "./batch.ts";
import { unpack } from "./compression.ts";
import { Bounded } from "./pieces.ts";
import { newCompressor, type Target, Tee } from "./recompress.ts";
import { type Skimmed, skimRecords } from "./skim.ts";

export interface UnpackJob {
  readonly codec: number;
  /** The records as they came. */
  readonly bytes: Buffer;
  readonly recordCount: number;
  /** Bound on what they come to. */
  readonly maxBytes: number;
  readonly maxZstdWindowBytes: number;
  /** Bound on each of them, without its length field. */
  readonly maxRecordBytes: number;
  /** Null if they stay as they are. */
  readonly target: Target | null;
  /** Bound on what they come to when they are compressed again. */
  readonly maxResultBytes: number;
}

export interface Unpacked {
  /** What was seen; or what is wrong with the records, or that they come to more than the bound. */
  readonly skimmed: Skimmed | KafkaError;
  /** So much was unpacked, at most `maxBytes`. */
  readonly bytes: number;
  /** Compressed again, behind room for a header; null without a target. */
  readonly records: Buffer | null;
  /** They exceed `maxResultBytes`; then `records` is null. */
  readonly isTooLarge: boolean;
}

/** Who does such jobs: at once, or off the loop. */
export interface Unpacker {
  /**
   * The job's bytes are not changed, and not looked at any more once it is done. A promise does not reject for what is in them, but with a
   * KafkaError when the unpacker is closed.
   */
  unpack(job: UnpackJob): Unpacked | Promise<Unpacked>;
  /** Gives up what is not done. */
  close(): void;
}

/** Does every job at once. */
export const unpackerOnLoop: Unpacker = { unpack: (job) => unpackBatch(job), close() {} };

/** What jobs are answered that were given up. */
export const unpackerClosed = (): KafkaError => new KafkaError("NOT_LEADER_OR_FOLLOWER", "the broker is stopping");

/** Does the job at once. */
export const unpackBatch = (job: UnpackJob): Unpacked => unpackWithin(job, Number.POSITIVE_INFINITY)!;

/** Does the job if no more than `budgetBytes` are unpacked for it, else gives null. */
export function unpackWithin(job: UnpackJob, budgetBytes: number): Unpacked | null {
  const { codec, recordCount, maxRecordBytes, target } = job;
  const maxBytes = Math.min(job.maxBytes, budgetBytes);
  const compressor = target === null ? null : newCompressor(target, job.maxResultBytes);
  let pieces: Bounded | null = null;
  try {
    const plain = unpack(codec, job.bytes, job.maxZstdWindowBytes);
    pieces = new Bounded(plain, maxBytes);
    const skimmed = skimRecords(compressor === null ? pieces : new Tee(pieces, compressor), {
      count: recordCount,
      maxRecordBytes,
    });
    const records = compressor === null ? null : compressor.finish(BATCH_HEADER_BYTES);
    return { skimmed, bytes: pieces.bytes, records, isTooLarge: compressor !== null && records === null };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    const bytes = pieces?.bytes ?? 0;
    if (bytes > maxBytes && maxBytes < job.maxBytes) return null;
    return { skimmed: error, bytes: Math.min(bytes, job.maxBytes), records: null, isTooLarge: false };
  }
}

/** A batch is checked on the loop if it unpacks to no more: about 5 ms. */
const CHECK_MAX_BYTES = 2 * 1024 * 1024;
/** And compressed again if that takes about so long. */
const RECOMPRESS_MAX_NS = 1_000_000;

/** How much may be unpacked for a job on the loop, in bytes; 0 if it is too much from the start. */
export function loopBudgetBytes({ codec, target, bytes }: UnpackJob): number {
  if (target === null)
    return codec === Codec.none ? Number.POSITIVE_INFINITY : bytes.length > CHECK_MAX_BYTES ? 0 : CHECK_MAX_BYTES;
  const budget = RECOMPRESS_MAX_NS / (UNPACK_NS + compressNs(target));
  return bytes.length > budget ? 0 : budget;
}

/** What a byte costs, roughly, in nanoseconds of the machine that the benchmarks were made on. */
const UNPACK_NS = 3;

function compressNs({ codec, level }: Target): number {
  switch (codec) {
    case "none":
      return 1;
    case "snappy":
      return 3;
    case "lz4":
      return level === 9 ? 3 : level < 9 ? 20 : 150;
    case "gzip":
      return level === 1 ? 3 : level > 6 ? 45 : 20;
    case "zstd":
      return level <= 3 ? 4 : level <= 9 ? 40 : 2000;
  }
}
