import { describe, expect, test } from "bun:test";
import { crc32c } from "./crc32c.ts";

/** CRC-32C by its definition, one bit at a time. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

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

  test("every length, around steps and lanes", () => {
    const bytes = noise(5000);
    const lengths = [...Array(70).keys(), ...[512, 1023, 1024, 1025, 1040, 2047, 2048, 2049, 3100, 5000]];
    for (const length of lengths)
      expect([length, crc32c(bytes, 0, length)]).toEqual([length, bitwise(bytes.subarray(0, length))]);
  });

  test("a range in the middle, at every alignment", () => {
    const bytes = noise(3000);
    for (let start = 0; start < 20; start++) expect(crc32c(bytes, start, 2500)).toBe(bitwise(bytes.subarray(start, 2500)));
  });

  test("goes on over chunks", () => {
    const bytes = noise(4000);
    for (const cut of [0, 1, 16, 17, 1024, 3999, 4000]) {
      expect(crc32c(bytes, cut, 4000, crc32c(bytes, 0, cut))).toBe(bitwise(bytes));
    }
  });
});
