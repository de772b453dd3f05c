/**
 * LZ4 compression into the frame that Kafka writes: version 1, independent blocks of 64 KiB, no checksums but the header's.
 * Source: lz4_Frame_format.md, lz4_Block_format.md; org.apache.kafka.common.compress.Lz4BlockOutputStream.
 */
import { BlockCompressor } from "./compressors.ts";

const FRAME_HEADER = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
const END_MARK = Buffer.alloc(4);
const BLOCK_BYTES = 64 * 1024;
const UNCOMPRESSED_BIT = 0x8000_0000;
const MIN_MATCH = 4;
/** A block ends with at least so many literals. */
const LAST_LITERALS = 5;
/** No match begins within so many bytes of a block's end. */
const MARGIN_BYTES = 12;
const HASH_BITS = 14;
const CHAIN_HASH_BITS = 16;
/** The level at which Kafka takes the fast compressor; all others try harder, 1 included (CompressionType.LZ4). */
const FAST_LEVEL = 9;
/** What more candidates find in 64 KiB is a hundredth at most, and takes as long again. */
const MOST_ATTEMPTS = 512;

/** Hash → the last position that has it. */
const heads = new Int32Array(1 << HASH_BITS);
/** The same for levels that look at more than the last: the fewer share a hash, the shorter are the chains. */
const chainHeads = new Int32Array(1 << CHAIN_HASH_BITS);
/** Position → the one before it with the same hash. */
const chain = new Int32Array(BLOCK_BYTES);
const output = Buffer.allocUnsafeSlow(4 + BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 255) + 16);

export class Lz4Compressor extends BlockCompressor {
  private readonly attempts: number;

  /** `level` is 1 to 17. */
  constructor(maxBytes: number, level: number) {
    super(maxBytes, BLOCK_BYTES);
    this.attempts = level === FAST_LEVEL ? 0 : Math.min(1 << (level - 1), MOST_ATTEMPTS);
    this.output.add(FRAME_HEADER);
  }

  protected block(input: Buffer): void {
    const bytes = (this.attempts === 0 ? compressFast(input) : compressHard(input, this.attempts)) - 4;
    const isSmaller = bytes < input.length;
    output.writeUInt32LE(isSmaller ? bytes : (UNCOMPRESSED_BIT | input.length) >>> 0, 0);
    if (isSmaller) this.output.add(output.subarray(0, 4 + bytes));
    else {
      this.output.add(output.subarray(0, 4));
      this.output.add(input);
    }
  }

  protected end(): void {
    this.output.add(END_MARK);
  }
}

const PRIME = 0x9e3779b1;
const hash = (word: number): number => Math.imul(word, PRIME) >>> (32 - HASH_BITS);
const chainHash = (word: number): number => Math.imul(word, PRIME) >>> (32 - CHAIN_HASH_BITS);

/** How many bytes are alike from `candidate` and `at` on, of which four are known to be. */
function matchedBytes(input: Buffer, words: DataView, candidate: number, at: number): number {
  const end = input.length - LAST_LITERALS;
  let to = at + MIN_MATCH;
  let from = candidate + MIN_MATCH;
  for (; to <= end - 4 && words.getInt32(from, true) === words.getInt32(to, true); from += 4) to += 4;
  for (; to < end && input[from] === input[to]; from++) to++;
  return to - at;
}

/** Takes the last position with the same four bytes. Writes from `output[4]` on; returns the position behind. */
function compressFast(input: Buffer): number {
  const words = new DataView(input.buffer, input.byteOffset, input.length);
  heads.fill(0);
  const limit = input.length - MARGIN_BYTES;
  let to = 4;
  let literalFrom = 0;
  let at = 1;
  let misses = 64;
  while (at < limit) {
    const word = words.getInt32(at, true);
    const slot = hash(word);
    const candidate = heads[slot]!;
    heads[slot] = at;
    if (words.getInt32(candidate, true) !== word) {
      at += misses++ >> 6; // the longer nothing is found, the less is looked at
      continue;
    }
    const length = matchedBytes(input, words, candidate, at);
    to = writeSequence(input, literalFrom, at, at - candidate, length, to);
    at += length;
    literalFrom = at;
    misses = 64;
    if (at < limit) heads[hash(words.getInt32(at - 2, true))] = at - 2;
  }
  return writeSequence(input, literalFrom, input.length, 0, 0, to);
}

/** Positions below it are in the chains. */
let chained = 0;
/** Of the match that `longestAt` found last. */
let foundDistance = 0;

/** Length of the longest match among `attempts` candidates that is longer than `above`, the nearest of several; 0 if there is none. */
function longestAt(input: Buffer, words: DataView, at: number, attempts: number, above: number): number {
  for (; chained <= at; chained++) {
    const slot = chainHash(words.getInt32(chained, true));
    chain[chained] = chainHeads[slot]!;
    chainHeads[slot] = chained;
  }
  const word = words.getInt32(at, true);
  const end = input.length - LAST_LITERALS;
  if (at + above >= end) return 0;
  let longest = above;
  /** A longer match has these four bytes where they would make it longer. */
  let tailAt = above === 0 ? 0 : above - 3;
  let tail = words.getInt32(at + tailAt, true);
  let left = attempts;
  for (let candidate = chain[at]!; candidate >= 0 && left > 0; candidate = chain[candidate]!, left--) {
    if (words.getInt32(candidate + tailAt, true) !== tail || words.getInt32(candidate, true) !== word) continue;
    const length = matchedBytes(input, words, candidate, at);
    if (length <= longest) continue;
    longest = length;
    tailAt = length - 3;
    tail = words.getInt32(at + tailAt, true);
    foundDistance = at - candidate;
    if (at + length >= end) break;
  }
  return longest === above ? 0 : longest;
}

/** Takes the longest match of up to `attempts` candidates, or that of the next position if it is longer. */
function compressHard(input: Buffer, attempts: number): number {
  const words = new DataView(input.buffer, input.byteOffset, input.length);
  chainHeads.fill(-1);
  chained = 0;
  const limit = input.length - MARGIN_BYTES;
  let to = 4;
  let literalFrom = 0;
  let at = 1;
  while (at < limit) {
    let length = longestAt(input, words, at, attempts, 0);
    if (length === 0) {
      at++;
      continue;
    }
    let distance = foundDistance;
    for (; at + 1 < limit; at++) {
      const next = longestAt(input, words, at + 1, attempts, length);
      if (next === 0) break;
      length = next;
      distance = foundDistance;
    }
    // It may have begun before, where none was found among so few candidates.
    for (; at > literalFrom && at > distance && input[at - 1] === input[at - 1 - distance]; at--) length++;
    to = writeSequence(input, literalFrom, at, distance, length, to);
    at += length;
    literalFrom = at;
  }
  return writeSequence(input, literalFrom, input.length, 0, 0, to);
}

/** Literals and the match behind them; a length of 0 is none, at the end of a block. */
function writeSequence(input: Buffer, from: number, end: number, distance: number, length: number, start: number): number {
  let to = start + 1;
  const literals = end - from;
  const more = length - MIN_MATCH;
  output[start] = (Math.min(literals, 15) << 4) | Math.max(0, Math.min(more, 15));
  if (literals >= 15) to = writeLength(literals - 15, to);
  if (literals < 24) for (let i = from; i < end; i++) output[to++] = input[i]!;
  else to += input.copy(output, to, from, end);
  if (length === 0) return to;
  output[to++] = distance & 0xff;
  output[to++] = distance >>> 8;
  return more >= 15 ? writeLength(more - 15, to) : to;
}

function writeLength(length: number, start: number): number {
  let to = start;
  let left = length;
  for (; left >= 255; left -= 255) output[to++] = 255;
  output[to++] = left;
  return to;
}
