import { expect, test } from "bun:test";
import { KvState } from "./kv-state.ts";
import { decodeSnapshot, encodeSnapshot } from "./snapshot-file.ts";

/** Laid out by hand from the table in snapshot-file.ts; the checksum was made by a bitwise CRC-32C elsewhere. */
const GOLDEN = `
  716d716d65746100 00000001 0000000000000007 00000002
  00000003 612f31   00000000      0000000000000003 0000000000000007 00000002 0001
  00000003 c3a97a   00000001 35   0000000000000005 0000000000000005 00000000
`.replaceAll(/\s/g, "");
const GOLDEN_CRC = "03630b86";

const withCrc = (hex: string, crc: string): Buffer => Buffer.from(hex + crc, "hex");

function sample(): KvState {
  const state = new KvState(7n);
  state.restore({ kv: { key: "éz", value: new Uint8Array(0), create: 5n, mod: 5n }, session: "5" });
  state.restore({ kv: { key: "a/1", value: Uint8Array.of(0, 1), create: 3n, mod: 7n }, session: "" });
  return state;
}

test("the bytes are those of the table", () => {
  expect(encodeSnapshot(sample()).toString("hex")).toBe(GOLDEN + GOLDEN_CRC);
});

test("the golden bytes read back", () => {
  const state = decodeSnapshot(withCrc(GOLDEN, GOLDEN_CRC), "f");
  expect(state.rev).toBe(7n);
  expect(state.under("")).toEqual([
    { kv: { key: "a/1", value: Uint8Array.of(0, 1), create: 3n, mod: 7n }, session: "" },
    { kv: { key: "éz", value: new Uint8Array(0), create: 5n, mod: 5n }, session: "5" },
  ]);
});

test("every flipped bit and every shortened file is refused by name", () => {
  const good = withCrc(GOLDEN, GOLDEN_CRC);
  for (let bit = 0; bit < good.length * 8; bit++) {
    const flipped = Buffer.from(good);
    flipped[bit >> 3]! ^= 1 << (bit & 7);
    expect(() => decodeSnapshot(flipped, "data/metadata.snapshot")).toThrow("data/metadata.snapshot: ");
  }
  for (let size = 0; size < good.length; size++) expect(() => decodeSnapshot(good.subarray(0, size), "f")).toThrow("f: ");
});

test("a newer format is refused before its checksum is looked at", () => {
  const newer = Buffer.from(withCrc(GOLDEN, GOLDEN_CRC));
  newer.writeUInt32BE(2, 8);
  expect(() => decodeSnapshot(newer, "f")).toThrow("f: written by a newer quarkmq (format 2, this one reads up to 1)");
});
