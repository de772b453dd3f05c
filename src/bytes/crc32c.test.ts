import { describe, expect, test } from "bun:test";
import { crc32c, crc32cFolded } from "./crc32c.ts";
import { FOLD_OFFSETS, loadFold } from "./crc32c-fold.ts";
import { crc32cSliced } from "./crc32c-sliced.ts";

/** The remainder of bytes, one bit at a time. */
function register(bytes: Uint8Array, before = 0): number {
  let crc = before;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return crc;
}

/** CRC-32C by its definition. */
const bitwise = (bytes: Uint8Array): number => ~register(bytes, 0xffffffff) >>> 0;

const noise = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 17);

describe("crc32c", () => {
  // RFC 3720, appendix B.4 (the RFC lists the bytes in the order in which they are sent, least significant first).
  const scsiRead = Buffer.from(
    "01c00000000000000000000000000000140000000000040000000014000000182800000000000000020000000000000000",
    "hex",
  ).subarray(0, 48);
  test.each([
    ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["32 incrementing bytes", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["32 decrementing bytes", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    ["an iSCSI SCSI read command", scsiRead, 0xd9963a56],
    ["nothing", new Uint8Array(0), 0],
    ["the check string", Buffer.from("123456789"), 0xe3069283],
  ])("%s", (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  test("goes on over chunks", () => {
    const bytes = noise(40_000);
    for (const cut of [0, 1, 16, 17, 1024, 3999, 4000, 20_000, 40_000]) {
      expect(crc32c(bytes, cut, 40_000, crc32c(bytes, 0, cut))).toBe(bitwise(bytes));
    }
  });

  test("more than a mebibyte", () => {
    const bytes = noise(1_300_001);
    expect(crc32c(bytes)).toBe(bitwise(bytes));
  });
});

const fold = loadFold()!;
const ways = [
  ["by tables", crc32cSliced],
  ["by folding", (b: Uint8Array, start: number, end: number, previous: number) => crc32cFolded(fold, b, start, end, previous)],
  ["as chosen", crc32c],
] as const;

describe.each(ways)("crc32c %s", (_, crc) => {
  test("every length, around steps, lanes, turns and blocks", () => {
    const bytes = noise(70_000);
    const lengths = [...Array(70).keys(), ...[512, 1023, 1024, 1025, 1040, 2047, 2048, 2049, 3100, 5000, 65_536, 70_000]];
    for (let length = 1500; length < 1700; length++) lengths.push(length); // from where on it is folded, over more than a turn
    for (let length = 32_768 - 70; length < 32_768 + 70; length++) lengths.push(length);
    for (const length of [34_303, 34_304, 34_305]) lengths.push(length); // a second block that is just long enough
    for (const length of lengths)
      expect([length, crc(bytes, 0, length, 0)]).toEqual([length, bitwise(bytes.subarray(0, length))]);
  });

  test("a range in the middle, at every alignment", () => {
    const bytes = noise(3000);
    for (let start = 0; start < 20; start++) expect(crc(bytes, start, 2500, 0)).toBe(bitwise(bytes.subarray(start, 2500)));
  });

  test("any single bit counts", () => {
    const bytes = new Uint8Array(2000);
    for (let at = 0; at < bytes.length; at += 7) {
      bytes[at] = 1 << (at & 7);
      expect(crc(bytes, 0, 2000, 0)).toBe(bitwise(bytes));
      bytes[at] = 0;
    }
  });
});

test("the offsets of folding are those of a multiple of the polynomial", () => {
  const bytes = new Uint8Array(Math.max(...FOLD_OFFSETS) + 1);
  for (const offset of [0, ...FOLD_OFFSETS]) bytes[offset] = 0x01;
  expect(register(bytes)).toBe(0);
});

test("without WebAssembly there is no folding", () => {
  const { WebAssembly: there } = globalThis;
  try {
    (globalThis as { WebAssembly?: unknown }).WebAssembly = undefined;
    expect(loadFold()).toBeNull();
  } finally {
    globalThis.WebAssembly = there;
  }
  expect(loadFold()).not.toBeNull();
});
