import { expect, test } from "bun:test";
import { MAP_ENTRY_BYTES, murmur128, OffsetMap } from "./offset-map.ts";

const key = (text: string): Buffer => Buffer.from(text);
const put = (map: OffsetMap, text: string, offset: number, limit = map.slots - 1): boolean =>
  map.put(key(text), 0, text.length, offset, limit);
const get = (map: OffsetMap, text: string): number => map.get(key(text), 0, text.length);

/** SMHasher's VerificationTest: hashes of {}, {0}, {0, 1}, … under 256 seeds, hashed again. For MurmurHash3_x86_128 it gives B3ECE62A. */
test("the hash is MurmurHash3_x86_128, by SMHasher's own check", () => {
  const hash = new Int32Array(4);
  const hashes = Buffer.alloc(256 * 16);
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  for (let n = 0; n < 256; n++) {
    murmur128(bytes, 0, n, 256 - n, hash);
    for (let i = 0; i < 4; i++) hashes.writeInt32LE(hash[i]!, n * 16 + i * 4);
  }
  murmur128(hashes, 0, hashes.length, 0, hash);
  expect(hash[0]! >>> 0).toBe(0xb3ece62a);
});

test("a hash depends on the bytes and not on where they lie", () => {
  const [a, b] = [new Int32Array(4), new Int32Array(4)];
  for (let length = 0; length < 40; length++) {
    const bytes = Buffer.from(Array.from({ length: 60 }, (_, i) => (i * 37) % 251));
    murmur128(bytes, 7, 7 + length, 99, a);
    murmur128(Buffer.from(bytes.subarray(7, 7 + length)), 0, length, 99, b);
    expect(a).toEqual(b);
  }
});

test("holds the newest offset of each key, as a Map does", () => {
  const map = new OffsetMap(MAP_ENTRY_BYTES * 3000, 12345);
  const model = new Map<string, number>();
  for (let offset = 0; offset < 20_000; offset++) {
    const text = `key ${(offset * 7919) % 2500}`;
    expect(put(map, text, offset)).toBeTrue();
    model.set(text, offset);
  }
  expect(map.size).toBe(model.size);
  for (const [text, offset] of model) expect(get(map, text)).toBe(offset);
  expect(get(map, "another key")).toBe(-1);
  expect(get(map, "")).toBe(-1);
});

test("takes no more keys than it may, but newer offsets of those it has", () => {
  const map = new OffsetMap(MAP_ENTRY_BYTES * 10, 1);
  for (let i = 0; i < 8; i++) expect(put(map, `${i}`, i, 8)).toBeTrue();
  expect(put(map, "8", 8, 8)).toBeFalse();
  expect(put(map, "3", 9, 8)).toBeTrue();
  expect([get(map, "8"), get(map, "3"), map.size]).toEqual([-1, 9, 8]);
});

test("offsets beyond 2^32 and offset 0 are kept exactly", () => {
  const map = new OffsetMap(MAP_ENTRY_BYTES * 4, 1);
  put(map, "large", 2 ** 52 + 1);
  put(map, "zero", 0);
  expect([get(map, "large"), get(map, "zero")]).toEqual([2 ** 52 + 1, 0]);
});
