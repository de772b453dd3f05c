import { expect, test } from "bun:test";
import { MalformedError } from "./errors.ts";
import { ConsumerProtocolAssignment } from "./records/consumer-protocol.ts";
import { GroupMetadataKey, OffsetCommitKey, OffsetCommitValue } from "./records/offsets.ts";
import { decodeKey, decodeVersioned, encodeKey, encodeVersioned, versionOf } from "./versioned.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("a value stands behind its version", () => {
  const value = { assignedPartitions: [{ topic: "t", partitions: [0, 1] }], userData: null };
  const bytes = hex("0001 00000001 0001 74 00000002 00000000 00000001 ffffffff");
  expect(toHex(encodeVersioned(ConsumerProtocolAssignment, 1, value))).toBe(toHex(bytes));
  expect(decodeVersioned(ConsumerProtocolAssignment, bytes)).toEqual(value);
  expect(versionOf(bytes)).toBe(1);
});

test("a version that is not declared, or none at all, is malformed", () => {
  expect(() => decodeVersioned(OffsetCommitValue, hex("0005 00"))).toThrow("OffsetCommitValue has no version 5");
  expect(() => decodeVersioned(OffsetCommitValue, hex("ffff 00"))).toThrow(MalformedError);
  expect(() => decodeVersioned(OffsetCommitValue, hex("00"))).toThrow(MalformedError);
  expect(() => encodeVersioned(OffsetCommitValue, 9, { offset: 0, metadata: "", commitTimestamp: 0 })).toThrow(RangeError);
});

test("a key stands behind its record type", () => {
  const key = { group: "g", topic: "t", partition: 3 };
  const bytes = hex("0001 0001 67 0001 74 00000003");
  expect(toHex(encodeKey(OffsetCommitKey, key))).toBe(toHex(bytes));
  expect(decodeKey(OffsetCommitKey, bytes)).toEqual(key);
  expect(toHex(encodeKey(GroupMetadataKey, { group: "g" }))).toBe("0002000167");
  expect(() => decodeKey(GroupMetadataKey, bytes)).toThrow("record type 1 is not that of GroupMetadataKey");
});
