/** The bytes were made by Kafka 4.3.1's GroupCoordinatorRecordSerde from its own generated classes. */
import { describe, expect, test } from "bun:test";
import { MalformedError } from "../protocol/errors.ts";
import type { CommittedOffset, GroupRecord, GroupSnapshot } from "./durable.ts";
import { decodeGroupRecord, encodeGroupRecord } from "./records.ts";

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
const bytes = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text, "hex"));
const encoded = (record: GroupRecord): (string | null)[] => {
  const { key, value } = encodeGroupRecord(record);
  return [hex(key), hex(value)];
};
const decoded = (key: string, value: string | null): GroupRecord | null => decodeGroupRecord(bytes(key)!, bytes(value));

const OFFSET_KEY = "000100086d792d67726f757000066f726465727300000007";
const GROUP_KEY = "000200086d792d67726f7570";
const NO_ID = "AAAAAAAAAAAAAAAAAAAAAA";

const offset = (value: CommittedOffset | null): GroupRecord => ({
  kind: "offset",
  groupId: "my-group",
  topic: "orders",
  partition: 7,
  value,
});
const group = (value: GroupSnapshot | null): GroupRecord => ({ kind: "group", groupId: "my-group", value });

const withoutTopicId = { leaderEpoch: -1, metadata: "m", committedMs: 1700000000123, expiresMs: -1, topicId: NO_ID };
const withTopicId = { ...withoutTopicId, leaderEpoch: 5, metadata: "néant", topicId: "AQIDBAUGBwgJCgsMDQ4PEA" };

const first = {
  memberId: "c-1",
  instanceId: null,
  clientId: "c",
  clientHost: "/127.0.0.1",
  rebalanceTimeoutMs: 300_000,
  sessionTimeoutMs: 45_000,
  subscription: new Uint8Array([1, 2, 3]),
  assignment: new Uint8Array([4, 5]),
};
const second = {
  memberId: "i-2",
  instanceId: "i",
  clientId: "",
  clientHost: "/::1",
  rebalanceTimeoutMs: 60_000,
  sessionTimeoutMs: 10_000,
  subscription: new Uint8Array(0),
  assignment: new Uint8Array(0),
};
const generation = {
  protocolType: "consumer",
  generationId: 3,
  protocolName: "range",
  leader: "c-1",
  stateSinceMs: 1700000000123,
};
const empty = {
  protocolType: "consumer",
  generationId: 4,
  protocolName: null,
  leader: null,
  stateSinceMs: 1700000000123,
  members: [],
};

describe("what we write is what Kafka writes", () => {
  const cases: [string, GroupRecord, string, string | null][] = [
    [
      "an offset",
      offset({ ...withTopicId, offset: 1234567890123 }),
      OFFSET_KEY,
      "00040000011f71fb04cb00000005076ec3a9616e740000018bcfe5687b0100100102030405060708090a0b0c0d0e0f10",
    ],
    [
      "an offset of a client that knows no topic ids",
      offset({ ...withoutTopicId, offset: 0, metadata: "" }),
      OFFSET_KEY,
      "00040000000000000000ffffffff010000018bcfe5687b00",
    ],
    [
      "an offset with an expiry",
      offset({ ...withoutTopicId, offset: 42, expiresMs: 1700000005123 }),
      OFFSET_KEY,
      "0001000000000000002a00016d0000018bcfe5687b0000018bcfe57c03",
    ],
    ["a removed offset", offset(null), OFFSET_KEY, null],
    [
      "a generation",
      group({ ...generation, members: [first, second] }),
      GROUP_KEY,
      "00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe5687b000000020003632d31ffff000163000a2f3132372e302e302e31000493e00000afc8000000030102030000000204050003692d32000169000000042f3a3a310000ea60000027100000000000000000",
    ],
    ["a group without members", group(empty), GROUP_KEY, "00030008636f6e73756d657200000004ffffffff0000018bcfe5687b00000000"],
    ["a removed group", group(null), GROUP_KEY, null],
  ];
  for (const [name, record, key, value] of cases) {
    test(name, () => {
      expect(encoded(record)).toEqual([key, value]);
      expect(decoded(key, value)).toEqual(record);
    });
  }
});

describe("what older Kafkas wrote is read", () => {
  test("offsets", () => {
    expect(decoded(OFFSET_KEY, "0003000000000000002a0000000300016d0000018bcfe5687b")).toEqual(
      offset({ ...withoutTopicId, offset: 42, leaderEpoch: 3 }),
    );
    expect(decoded(OFFSET_KEY, "0000000000000000002a00016d0000018bcfe5687b")).toEqual(offset({ ...withoutTopicId, offset: 42 }));
    const legacyKey = "000000086d792d67726f757000066f726465727300000007";
    expect(decoded(legacyKey, "0000000000000000002a00016d0000018bcfe5687b")).toEqual(offset({ ...withoutTopicId, offset: 42 }));
  });

  test("groups", () => {
    const withoutNames = [first, { ...second, instanceId: null }];
    expect(
      decoded(
        GROUP_KEY,
        "00000008636f6e73756d657200000003000572616e67650003632d31000000020003632d31000163000a2f3132372e302e302e310000afc8000000030102030000000204050003692d32000000042f3a3a31000027100000000000000000",
      ),
    ).toEqual(
      group({
        ...generation,
        stateSinceMs: -1,
        members: withoutNames.map((member) => ({ ...member, rebalanceTimeoutMs: member.sessionTimeoutMs })),
      }),
    );
    expect(
      decoded(
        GROUP_KEY,
        "00020008636f6e73756d657200000003000572616e67650003632d310000018bcfe5687b000000020003632d31000163000a2f3132372e302e302e31000493e00000afc8000000030102030000000204050003692d32000000042f3a3a310000ea60000027100000000000000000",
      ),
    ).toEqual(group({ ...generation, members: withoutNames }));
    expect(
      decoded(
        GROUP_KEY,
        "000409636f6e73756d6572000000030672616e676504632d310000018bcfe5687b0304632d310002630b2f3132372e302e302e31000493e00000afc8040102030304050004692d32026901052f3a3a310000ea600000271001010000",
      ),
    ).toEqual(group({ ...generation, members: [first, second] }));
  });
});

describe("what is not ours", () => {
  test("other kinds of groups are passed over", () => {
    expect(decoded("000b000167", null)).toBeNull();
  });

  test("a version newer than we know is refused", () => {
    expect(() => decoded(OFFSET_KEY, "0005000000000000002a")).toThrow(MalformedError);
    expect(() => decoded(GROUP_KEY, "0005")).toThrow(MalformedError);
  });
});

test("decoded bytes do not hold on to what they were read from", () => {
  const { key, value } = encodeGroupRecord(group({ ...generation, members: [first] }));
  const record = decodeGroupRecord(key, value);
  value!.fill(0xff);
  expect(record).toEqual(group({ ...generation, members: [first] }));
});
