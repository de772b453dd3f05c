import { describe, expect, test } from "bun:test";
import { LONG_MAX, LONG_MIN, OutOfBounds, Reader } from "./reader.ts";

const reader = (hex: string): Reader => new Reader(Buffer.from(hex.replaceAll(" ", ""), "hex"));

describe("integers", () => {
  test("are big-endian two's complement", () => {
    expect(reader("7f").int8()).toBe(127);
    expect(reader("80").int8()).toBe(-128);
    expect(reader("8000").int16()).toBe(-32768);
    expect(reader("ffff").uint16()).toBe(65535);
    expect(reader("80000000").int32()).toBe(-2147483648);
    expect(reader("ffffffff").uint32()).toBe(4294967295);
    expect(reader("0102030405060708").remaining).toBe(8);
  });

  test("bool is true for any byte but 0", () => {
    expect(reader("00").bool()).toBe(false);
    expect(reader("02").bool()).toBe(true);
  });

  test("bits64 are all of them", () => {
    expect(reader("fffffffffffffffe").bits64()).toBe(-2n);
    expect(reader("7fffffffffffffff").bits64()).toBe(2n ** 63n - 1n);
  });

  test("float64 is IEEE 754", () => {
    expect(reader("3ff8000000000000").float64()).toBe(1.5);
    expect(reader("7ff0000000000000").float64()).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("int64", () => {
  test.each([
    ["0000000000000000", 0],
    ["ffffffffffffffff", -1],
    ["00000000ffffffff", 4294967295],
    ["ffffffff00000000", -4294967296],
    ["001fffffffffffff", 9007199254740991],
    ["0020000000000000", 9007199254740992],
    ["ffe0000000000001", -9007199254740991],
    ["ffe0000000000000", -9007199254740992],
    ["7fffffffffffffff", LONG_MAX],
    ["8000000000000000", LONG_MIN],
  ])("%s is %d", (hex, value) => {
    expect(reader(hex).int64()).toBe(value);
  });

  test.each(["0020000000000001", "ffdfffffffffffff", "7ffffffffffffffe", "8000000000000001", "4000000000000000"])(
    "%s is refused, not rounded",
    (hex) => {
      expect(() => reader(hex).int64()).toThrow(OutOfBounds);
    },
  );
});

describe("varints", () => {
  test.each([
    ["00", 0],
    ["7f", 127],
    ["8001", 128],
    ["ac02", 300],
    ["ffffffff07", 2147483647],
    ["ffffffff0f", 4294967295],
    ["8080808000", 0],
  ])("unsigned %s is %d", (hex, value) => {
    const r = reader(hex);
    expect(r.uvarint()).toBe(value);
    expect(r.remaining).toBe(0);
  });

  test("longer than five bytes is refused", () => {
    expect(() => reader("808080808001").uvarint()).toThrow("longer than five bytes");
  });

  test("cut off is refused", () => {
    expect(() => reader("").uvarint()).toThrow(OutOfBounds);
    expect(() => reader("8080").uvarint()).toThrow(OutOfBounds);
  });

  // Values of ByteUtilsTest in Kafka's clients.
  test.each([
    ["00", 0],
    ["01", -1],
    ["02", 1],
    ["7e", 63],
    ["7f", -64],
    ["8001", 64],
    ["8101", -65],
    ["feffffff0f", 2147483647],
    ["ffffffff0f", -2147483648],
  ])("zigzag %s is %d", (hex, value) => {
    expect(reader(hex).varint()).toBe(value);
    expect(reader(hex).varlong()).toBe(value);
  });

  test.each([
    ["feffffffffffffffff01", LONG_MAX],
    ["ffffffffffffffffff01", LONG_MIN],
    ["8080808010", 2147483648],
    ["feffffffffffff1f", 9007199254740991],
    ["fdffffffffffff1f", -9007199254740991],
  ])("zigzag of 64 bits %s is %d", (hex, value) => {
    expect(reader(hex).varlong()).toBe(value);
  });

  test("a varlong of more than ten bytes, more than 64 bits, or beyond 2^53 is refused", () => {
    expect(() => reader("8080808080808080808001").varlong()).toThrow("longer than ten bytes");
    expect(() => reader("ffffffffffffffffff02").varlong()).toThrow("wider than 64 bits");
    expect(() => reader("82808080808080 20").varlong()).toThrow("beyond");
    expect(() => reader("8080").varlong()).toThrow(OutOfBounds);
  });
});

describe("bounds", () => {
  const reads: [string, number, (r: Reader) => unknown][] = [
    ["int8", 1, (r) => r.int8()],
    ["int16", 2, (r) => r.int16()],
    ["uint16", 2, (r) => r.uint16()],
    ["int32", 4, (r) => r.int32()],
    ["uint32", 4, (r) => r.uint32()],
    ["int64", 8, (r) => r.int64()],
    ["bits64", 8, (r) => r.bits64()],
    ["float64", 8, (r) => r.float64()],
    ["uuid", 16, (r) => r.uuid()],
    ["utf8", 5, (r) => r.utf8(5)],
    ["slice", 5, (r) => r.slice(5)],
    ["skip", 5, (r) => r.skip(5)],
  ];

  test.each(reads)("%s of %d bytes does not read past the limit, though the buffer goes on", (_, size, read) => {
    const r = new Reader(Buffer.alloc(100), 10, 10 + size - 1);
    expect(() => read(r)).toThrow(OutOfBounds);
    expect(r.at).toBe(10);
    read(new Reader(Buffer.alloc(100), 10, 10 + size));
  });

  test("a reader of a view reads the view, not the buffer below it", () => {
    const whole = new Uint8Array([9, 9, 0, 0, 0, 7, 9, 9]);
    expect(new Reader(whole.subarray(2, 6)).int32()).toBe(7);
    expect(() => new Reader(whole.subarray(2, 6), 0, 5)).toThrow(RangeError);
  });

  test("a string of more than 32,767 bytes is refused even if it is there", () => {
    expect(() => new Reader(Buffer.alloc(40_000)).utf8(32_768)).toThrow("longer than 32767");
    expect(new Reader(Buffer.alloc(40_000)).utf8(32_767).length).toBe(32_767);
  });

  test("a count is compared with the bytes left, in elements of the smallest size", () => {
    expect(new Reader(Buffer.alloc(12)).items(3, 4)).toBe(3);
    expect(() => new Reader(Buffer.alloc(11)).items(3, 4)).toThrow(OutOfBounds);
    expect(() => new Reader(Buffer.alloc(11)).items(2147483647, 4)).toThrow(OutOfBounds);
  });

  test("the items of all arrays of one frame share one cap", () => {
    const r = new Reader(Buffer.alloc(1000));
    r.itemsLeft = 100;
    r.items(60, 1);
    expect(() => r.items(41, 1)).toThrow("limit on items");
  });

  test("tagged fields are skipped within the bounds only", () => {
    const r = reader("02 00 02 aabb 05 01 cc ff");
    r.skipTags();
    expect(r.at).toBe(8);
    expect(() => reader("01 00 03 aabb").skipTags()).toThrow(OutOfBounds);
    expect(() => reader("ffffffff0f 00 00 00 00").skipTags()).toThrow(OutOfBounds);
  });
});

test("strings are UTF-8; what is not becomes U+FFFD", () => {
  expect(reader("c3a4e282acf09f9880").utf8(9)).toBe("ä€😀");
  expect(reader("61ff62").utf8(3)).toBe("a\ufffdb");
});

test("a uuid is 22 characters of base64url", () => {
  expect(reader("00000000000000000000000000000001").uuid()).toBe("AAAAAAAAAAAAAAAAAAAAAQ");
  expect(reader("fbfffefbfffefbfffefbfffefbfffefb").uuid()).toBe("-__--__--__--__--__--w");
});

test("slices share memory with the frame", () => {
  const frame = Buffer.from([1, 2, 3, 4]);
  const slice = new Reader(frame, 1).slice(2);
  frame[2] = 9;
  expect([...slice]).toEqual([2, 9]);
});
