/**
 * Snappy compression, in the framing of xerial's snappy-java: what Java clients write and all clients read.
 * Source: snappy's format_description.txt; org.xerial.snappy.SnappyOutputStream.
 */
import { BlockCompressor } from "./compressors.ts";

/** Magic, version 1, compatible with version 1. */
const XERIAL_HEADER = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
/** SnappyOutputStream's default. Positions within it fit into 16 bits. */
const BLOCK_BYTES = 32 * 1024;
const HASH_BITS = 14;
/** The last bytes of a block are literals, so that four bytes can be read wherever a match is looked for. */
const MARGIN_BYTES = 15;

const table = new Uint16Array(1 << HASH_BITS);
/** The most that a block can come to, with its size before it. */
const output = Buffer.allocUnsafeSlow(4 + 32 + BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 6));

export class SnappyCompressor extends BlockCompressor {
  constructor(maxBytes: number) {
    super(maxBytes, BLOCK_BYTES);
    this.output.add(XERIAL_HEADER);
  }

  protected block(input: Buffer): void {
    const end = compressBlock(input, 4);
    output.writeInt32BE(end - 4, 0);
    this.output.add(output.subarray(0, end));
  }

  protected end(): void {}
}

const hash = (word: number): number => Math.imul(word, 0x1e35a7bd) >>> (32 - HASH_BITS);

/** Writes a block to `output[start...]`; returns the position behind it. */
function compressBlock(input: Buffer, start: number): number {
  const words = new DataView(input.buffer, input.byteOffset, input.length);
  let to = start;
  for (let rest = input.length; ; rest >>>= 7) {
    output[to++] = rest < 0x80 ? rest : rest | 0x80;
    if (rest < 0x80) break;
  }
  table.fill(0);
  const limit = input.length - MARGIN_BYTES;
  let literalFrom = 0;
  let at = 1;
  let misses = 32;
  while (at <= limit) {
    const word = words.getInt32(at, true);
    const slot = hash(word);
    const candidate = table[slot]!;
    table[slot] = at;
    if (words.getInt32(candidate, true) !== word) {
      at += misses++ >> 5; // the longer nothing is found, the less is looked at
      continue;
    }
    if (literalFrom < at) to = writeLiteral(input, literalFrom, at, to);
    let matched = 4;
    while (at + matched + 4 <= input.length && words.getInt32(candidate + matched, true) === words.getInt32(at + matched, true))
      matched += 4;
    while (at + matched < input.length && input[candidate + matched] === input[at + matched]) matched++;
    to = writeCopies(at - candidate, matched, to);
    at += matched;
    literalFrom = at;
    misses = 32;
    if (at <= limit) table[hash(words.getInt32(at - 1, true))] = at - 1;
  }
  return literalFrom < input.length ? writeLiteral(input, literalFrom, input.length, to) : to;
}

function writeLiteral(input: Buffer, from: number, end: number, start: number): number {
  let to = start;
  const last = end - from - 1;
  if (last < 60) output[to++] = last << 2;
  else if (last < 0x100) {
    output[to++] = 60 << 2;
    output[to++] = last;
  } else {
    output[to++] = 61 << 2;
    output[to++] = last & 0xff;
    output[to++] = last >>> 8;
  }
  if (last < 24) for (let i = from; i < end; i++) output[to++] = input[i]!;
  else to += input.copy(output, to, from, end);
  return to;
}

/** A match as copies of at most 64 bytes, of which none is below 4. */
function writeCopies(distance: number, length: number, start: number): number {
  let to = start;
  let left = length;
  while (left > 0) {
    const count = left > 64 && left < 68 ? 60 : Math.min(left, 64);
    if (count >= 4 && count < 12 && distance < 2048) {
      output[to++] = 1 | ((count - 4) << 2) | ((distance >>> 8) << 5);
      output[to++] = distance & 0xff;
    } else {
      output[to++] = 2 | ((count - 1) << 2);
      output[to++] = distance & 0xff;
      output[to++] = distance >>> 8;
    }
    left -= count;
  }
  return to;
}
