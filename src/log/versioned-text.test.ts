import { expect, test } from "bun:test";
import { decodeVersionedText, encodeVersionedText } from "./versioned-text.ts";

test("a file of text, with a checksum over it", () => {
  const bytes = encodeVersionedText(1, { incarnation: 7, name: "a: b" });
  expect(bytes.toString()).toMatch(/^version: 1\nincarnation: 7\nname: a: b\nchecksum: [0-9a-f]{8}\n$/);
  expect([...decodeVersionedText("f", bytes, 1)!]).toEqual([
    ["version", "1"],
    ["incarnation", "7"],
    ["name", "a: b"],
  ]);
});

test("a changed, cut or extended file is no file", () => {
  const bytes = encodeVersionedText(1, { incarnation: 7 });
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1;
    expect(decodeVersionedText("f", damaged, 1)).toBeNull();
    expect(decodeVersionedText("f", bytes.subarray(0, at), 1)).toBeNull();
  }
  expect(decodeVersionedText("f", Buffer.concat([bytes, Buffer.from("\n")]), 1)).toBeNull();
});

test("a newer version is refused by name", () => {
  expect(() => decodeVersionedText("/d/f", encodeVersionedText(2, {}), 1)).toThrow(
    "/d/f has version 2; this program knows up to 1",
  );
});
