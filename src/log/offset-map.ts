/**
 * The newest offset of each key, for compaction: a hash of the key in 16 bytes and the offset in 8, in a buffer of fixed size, so that
 * millions of keys need no more memory than was allowed. Two keys of one hash are taken for one: with 128 bits that does not happen by
 * chance. Source: SkimpyOffsetMap (there the hash is MD5; MurmurHash3_x86_128 with a seed of its own for each run is ten times faster here).
 */

/** A hash of 16 bytes and an offset of 8. */
export const MAP_ENTRY_BYTES = 24;

/** Words of a hash. */
const WORDS = 4;

export class OffsetMap {
  /** How many keys it can hold. */
  readonly slots: number;
  /** How many keys it holds. */
  size = 0;
  /** Everything up to here is in the map; -1: nothing. */
  latestOffset = -1;
  private readonly seed: number;
  private readonly hashes: Int32Array;
  /** Offset + 1; 0: the slot is free. */
  private readonly offsets: Float64Array;
  private readonly hash = new Int32Array(WORDS);

  /** `bytes`: the memory that it takes. */
  constructor(bytes: number, seed: number) {
    this.slots = Math.max(2, Math.floor(bytes / MAP_ENTRY_BYTES));
    this.seed = seed | 0;
    this.hashes = new Int32Array(this.slots * WORDS);
    this.offsets = new Float64Array(this.slots);
  }

  /** The offset of the key `bytes[start, end)`, -1 if it is not in the map. */
  get(bytes: Uint8Array, start: number, end: number): number {
    return this.offsets[this.slotOf(bytes, start, end)]! - 1;
  }

  /** Remembers the offset of a key. False, with nothing changed, if it is a new key and there are `limit` already; `limit` is below `slots`. */
  put(bytes: Uint8Array, start: number, end: number, offset: number, limit: number): boolean {
    const slot = this.slotOf(bytes, start, end);
    if (this.offsets[slot] === 0) {
      if (this.size >= limit) return false;
      for (let word = 0; word < WORDS; word++) this.hashes[slot * WORDS + word] = this.hash[word]!;
      this.size++;
    }
    this.offsets[slot] = offset + 1;
    return true;
  }

  /** The key's slot, or the free one where it would go. One slot is always free. */
  private slotOf(bytes: Uint8Array, start: number, end: number): number {
    const { hash, hashes, offsets, slots } = this;
    murmur128(bytes, start, end, this.seed, hash);
    const a = hash[0]!;
    const b = hash[1]!;
    const c = hash[2]!;
    const d = hash[3]!;
    let slot = (a & 0x7fff_ffff) % slots;
    while (offsets[slot] !== 0) {
      const at = slot * WORDS;
      if (hashes[at] === a && hashes[at + 1] === b && hashes[at + 2] === c && hashes[at + 3] === d) return slot;
      if (++slot === slots) slot = 0;
    }
    return slot;
  }
}

const C1 = 0x239b961b;
const C2 = 0xab0e9789 | 0;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93 | 0;

/** MurmurHash3_x86_128 (Austin Appleby, public domain) of `bytes[start, end)` into four words. */
export function murmur128(bytes: Uint8Array, start: number, end: number, seed: number, into: Int32Array): void {
  let h1 = seed;
  let h2 = seed;
  let h3 = seed;
  let h4 = seed;
  const length = end - start;
  let at = start;
  for (const blocks = start + (length & ~15); at < blocks; at += 16) {
    h1 ^= Math.imul(rotate(Math.imul(word(bytes, at), C1), 15), C2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(word(bytes, at + 4), C2), 16), C3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(word(bytes, at + 8), C3), 17), C4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(word(bytes, at + 12), C4), 18), C1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  const left = end - at;
  if (left > 12) h4 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 12, end), C4), 18), C1);
  if (left > 8) h3 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 8, end), C3), 17), C4);
  if (left > 4) h2 ^= Math.imul(rotate(Math.imul(tail(bytes, at + 4, end), C2), 16), C3);
  if (left > 0) h1 ^= Math.imul(rotate(Math.imul(tail(bytes, at, end), C1), 15), C2);
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = mix(h1);
  h2 = mix(h2);
  h3 = mix(h3);
  h4 = mix(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  into[0] = h1;
  into[1] = (h2 + h1) | 0;
  into[2] = (h3 + h1) | 0;
  into[3] = (h4 + h1) | 0;
}

const rotate = (x: number, by: number): number => (x << by) | (x >>> (32 - by));

const word = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24);

/** As `word`, of the one to four bytes before `end`. */
function tail(b: Uint8Array, at: number, end: number): number {
  let value = 0;
  for (let i = Math.min(end - at, 4) - 1; i >= 0; i--) value = (value << 8) | b[at + i]!;
  return value;
}

function mix(x: number): number {
  let h = x ^ (x >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
