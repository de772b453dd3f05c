import { describe, expect, test } from "bun:test";
import { LONG_MAX, LONG_MIN } from "./reader.ts";
import { REFERENCE_MIN, Writer } from "./writer.ts";

function written(write: (w: Writer) => void, scratchBytes?: number): string {
  const w = new Writer(scratchBytes);
  write(w);
  return Buffer.from(w.finishOne()).toString("hex");
}

describe("fields", () => {
  test.each<[string, (w: Writer) => void]>([
    ["0100", (w) => [w.bool(true), w.bool(false)]],
    ["7f80", (w) => [w.int8(127), w.int8(-128)]],
    ["7fff8000ffff", (w) => [w.int16(32767), w.int16(-32768), w.uint16(65535)]],
    ["7fffffff80000000ffffffff", (w) => [w.int32(2147483647), w.int32(-2147483648), w.uint32(4294967295)]],
    ["0000000000000000ffffffffffffffff", (w) => [w.int64(0), w.int64(-1)]],
    ["001fffffffffffffffe0000000000001", (w) => [w.int64(9007199254740991), w.int64(-9007199254740991)]],
    ["0020000000000000ffe0000000000000", (w) => [w.int64(9007199254740992), w.int64(-9007199254740992)]],
    ["7fffffffffffffff8000000000000000", (w) => [w.int64(LONG_MAX), w.int64(LONG_MIN)]],
    ["fffffffffffffffe7fffffffffffffff", (w) => [w.bits64(-2n), w.bits64(2n ** 63n - 1n)]],
    ["3ff8000000000000", (w) => w.float64(1.5)],
    ["00000000000000000000000000000001", (w) => w.uuid("AAAAAAAAAAAAAAAAAAAAAQ")],
    ["007f8001ac02ffffffff0f", (w) => [w.uvarint(0), w.uvarint(127), w.uvarint(128), w.uvarint(300), w.uvarint(4294967295)]],
    ["0001027e7ffeffffff0fffffffff0f", (w) => [0, -1, 1, 63, -64, 2147483647, -2147483648].map((v) => w.varint(v))],
    ["0001feffffffffffffffff01ffffffffffffffffff01", (w) => [0, -1, LONG_MAX, LONG_MIN].map((v) => w.varlong(v))],
    ["feffffffffffff1ffdffffffffffff1f", (w) => [9007199254740991, -9007199254740991].map((v) => w.varlong(v))],
    ["0009c3a4e282acf09f9880", (w) => w.string("ä€😀")],
    ["0ac3a4e282acf09f9880", (w) => w.compactString("ä€😀")],
    [
      "0000000201020301020000000000",
      (w) => [
        w.sizedBytes(new Uint8Array([1, 2])),
        w.compactBytes([new Uint8Array([1]), new Uint8Array([2])]),
        w.sizedBytes([]),
        w.bool(false),
      ],
    ],
  ])("%s", (hex, write) => {
    expect(written(write)).toBe(hex);
    expect(written(write, 1)).toBe(hex); // every field has to grow the scratch
  });

  test.each<[string, (w: Writer) => void]>([
    ["int8 128", (w) => w.int8(128)],
    ["int16 32768", (w) => w.int16(32768)],
    ["int16 1.5", (w) => w.int16(1.5)],
    ["uint16 -1", (w) => w.uint16(-1)],
    ["int32 2^31", (w) => w.int32(2147483648)],
    ["int32 NaN", (w) => w.int32(Number.NaN)],
    ["uint32 -1", (w) => w.uint32(-1)],
    ["int64 2^53 + 2", (w) => w.int64(9007199254740994)],
    ["int64 2^62", (w) => w.int64(2 ** 62)],
    ["int64 1.5", (w) => w.int64(1.5)],
    ["int64 NaN", (w) => w.int64(Number.NaN)],
    ["varint 2^31", (w) => w.varint(2147483648)],
    ["varlong 2^62", (w) => w.varlong(2 ** 62)],
    ["uvarint -1", (w) => w.uvarint(-1)],
    ["uuid too short", (w) => w.uuid("AAAA")],
    ["uuid of other characters", (w) => w.uuid("****AAAAAAAAAAAAAAAAAA")],
    ["string of 32,768 bytes", (w) => w.string("ä".repeat(16384))],
    ["compact string of 32,768 bytes", (w) => w.compactString("a".repeat(32768))],
  ])("%s is refused, not wrapped", (_, write) => {
    expect(() => written(write)).toThrow(RangeError);
  });
});

describe("chunks", () => {
  const large = new Uint8Array(REFERENCE_MIN).fill(7);

  test("large byte fields are referenced, small ones copied", () => {
    const w = new Writer();
    w.int32(1);
    w.bytes(large);
    w.bytes(large.subarray(1));
    w.int32(2);
    expect(w.size).toBe(4 + large.length + large.length - 1 + 4);
    const chunks = w.finish();
    expect(chunks.map((chunk) => chunk.byteLength)).toEqual([4, large.length, large.length - 1 + 4]);
    expect(chunks[1]).toBe(large);
  });

  test("a length is patched where it was reserved, also once that is a chunk", () => {
    const w = new Writer();
    w.int16(5);
    const early = w.reserveInt32();
    w.bytes(large);
    const late = w.reserveInt32();
    w.patchInt32(late, 0x0a0b0c0d);
    w.patchInt32(early, 0x01020304);
    const chunks = w.finish().map((chunk) => Buffer.from(chunk as Uint8Array).toString("hex"));
    expect(chunks[0]).toBe("000501020304");
    expect(chunks[2]).toBe("0a0b0c0d");
  });

  test("a length inside what grew is patched too", () => {
    const w = new Writer(8);
    w.int16(5);
    const at = w.reserveInt32();
    for (let i = 0; i < 100; i++) w.int8(i);
    w.patchInt32(at, 100);
    const all = Buffer.from(w.finishOne());
    expect(all.toString("hex", 0, 7)).toBe("00050000006400");
    expect(all.length).toBe(106);
    expect(() => w.patchInt32(0, 1)).toThrow(RangeError);
  });

  test("after finish it begins anew, and never touches what it gave away", () => {
    const w = new Writer(64);
    const given: Uint8Array[] = [];
    for (let i = 0; i < 50; i++) {
      const at = w.reserveInt32();
      w.int32(i);
      w.patchInt32(at, w.size);
      expect(w.size).toBe(8);
      given.push(w.finishOne());
    }
    const expected = Array.from({ length: 50 }, (_, i) => `00000008000000${i.toString(16).padStart(2, "0")}`);
    expect(given.map((message) => Buffer.from(message).toString("hex"))).toEqual(expected);
  });

  test("discard forgets the message that was begun", () => {
    const w = new Writer();
    w.int32(1);
    w.bytes(large);
    w.beginTag(0);
    w.discard();
    w.int16(2);
    w.bytes(large);
    expect(w.finish().map((chunk) => chunk.byteLength)).toEqual([2, large.length]);
  });

  test("an empty message is one empty chunk", () => {
    expect(new Writer().finish()).toEqual([new Uint8Array(0)]);
  });
});

describe("tagged fields", () => {
  test.each([0, 1, 127, 128, 16383, 16384])("a value of %d bytes stands behind its size", (length) => {
    const value = new Uint8Array(length).fill(9);
    const w = new Writer(16);
    w.int8(1);
    const tag = w.beginTag(3);
    w.bytes(value);
    w.endTag(tag);
    w.int8(2);
    const size = { 0: "00", 1: "01", 127: "7f", 128: "8001", 16383: "ff7f", 16384: "808001" }[length];
    expect(Buffer.from(w.finishOne()).toString("hex")).toBe(`0103${size}${"09".repeat(length)}02`);
  });

  test("may stand inside each other", () => {
    const w = new Writer();
    const outer = w.beginTag(1);
    const inner = w.beginTag(2);
    w.bytes(new Uint8Array(200).fill(5));
    w.endTag(inner);
    w.endTag(outer);
    expect(Buffer.from(w.finishOne()).toString("hex")).toBe(`01cb0102c801${"05".repeat(200)}`);
  });
});
