/** The oracle is Kafka's own coordinator: test/fixtures/consumer-group. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MalformedError } from "../../protocol/errors.ts";
import { decodeConsumerRecord, encodeConsumerRecord } from "./consumer-records.ts";
import type { ConsumerRecord } from "./durable.ts";

const fixture = join(import.meta.dir, "../../../test/fixtures/consumer-group/records.jsonl");
const lines: { name: string; key: string; value: string | null }[] = readFileSync(fixture, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

const T = "AQIDBAUGBwgJCgsMDQ4PEA";
const U = "__________________-__w";
const group = { groupId: "g" };
const member = { groupId: "g", memberId: "m-1" };
const said = {
  instanceId: null,
  rackId: null,
  clientId: "client",
  clientHost: "/127.0.0.1",
  topicNames: ["a", "b"],
  topicRegex: "",
  rebalanceTimeoutMs: 300_000,
  serverAssignor: null,
  classic: null,
};

const records: Record<string, ConsumerRecord> = {
  epoch: { kind: "consumer-group", ...group, value: { epoch: 7, metadataHash: -3710478806140815968n } },
  "epoch without topics": { kind: "consumer-group", ...group, value: { epoch: 7, metadataHash: 0n } },
  "no group": { kind: "consumer-group", ...group, value: null },
  "no partition metadata": { kind: "consumer-partition-metadata", ...group, value: null },
  member: { kind: "consumer-member", ...member, value: said },
  "static member": {
    kind: "consumer-member",
    ...member,
    value: { ...said, instanceId: "i", rackId: "r", serverAssignor: "range", topicNames: [], topicRegex: "a.*" },
  },
  "classic member": {
    kind: "consumer-member",
    ...member,
    value: {
      ...said,
      classic: { sessionTimeoutMs: 45_000, supportedProtocols: [{ name: "range", metadata: new Uint8Array([1, 2, 3]) }] },
    },
  },
  "no member": { kind: "consumer-member", ...member, value: null },
  target: { kind: "consumer-target", ...group, value: { assignmentEpoch: 7, assignedMs: 1_700_000_000_123 } },
  "target without a time": { kind: "consumer-target", ...group, value: { assignmentEpoch: 7, assignedMs: 0 } },
  "no target": { kind: "consumer-target", ...group, value: null },
  "target member": {
    kind: "consumer-target-member",
    ...member,
    value: new Map([
      [T, [0, 1, 300]],
      [U, [2]],
    ]),
  },
  "no target member": { kind: "consumer-target-member", ...member, value: null },
  current: {
    kind: "consumer-current",
    ...member,
    value: {
      memberEpoch: 7,
      previousMemberEpoch: 6,
      state: "UNREVOKED_PARTITIONS",
      assigned: new Map([
        [
          T,
          new Map([
            [0, 3],
            [1, 7],
          ]),
        ],
        [U, new Map([[2, 7]])],
      ]),
      pendingRevocation: new Map([[T, new Map([[2, 3]])]]),
    },
  },
  "current of one that left": {
    kind: "consumer-current",
    ...member,
    value: {
      memberEpoch: -2,
      previousMemberEpoch: 7,
      state: "UNRELEASED_PARTITIONS",
      assigned: new Map(),
      pendingRevocation: new Map(),
    },
  },
  "no current": { kind: "consumer-current", ...member, value: null },
  regex: {
    kind: "consumer-regex",
    ...group,
    regex: "a.*",
    value: { topics: ["aa", "ab"], version: 12_345, resolvedMs: 1_700_000_000_123 },
  },
  "no regex": { kind: "consumer-regex", ...group, regex: "a.*", value: null },
};

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
const bytes = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test("there is a record of every kind", () => {
  expect(lines.map(({ name }) => name)).toEqual(Object.keys(records));
});

for (const { name, key, value } of lines) {
  test(`what we write is what Kafka writes, and is read back: ${name}`, () => {
    const encoded = encodeConsumerRecord(records[name]!);
    expect([hex(encoded.key), hex(encoded.value)]).toEqual([key, value]);
    expect(decodeConsumerRecord(bytes(key), value === null ? null : bytes(value))).toEqual(records[name]!);
  });
}

describe("what else is read", () => {
  const currentKey = "0008 0001 67 0003 6d2d31";

  test("partitions without epochs, as Kafka wrote them before 4.3: since the member's own", () => {
    const topic = "02 0102030405060708090a0b0c0d0e0f10 02 00000005 00";
    const of = (epoch: string) => decodeConsumerRecord(bytes(currentKey), bytes(`0000 ${epoch} 00000006 00 ${topic} 01 00`));
    expect(of("00000007")).toMatchObject({ value: { assigned: new Map([[T, new Map([[5, 7]])]]) } });
    expect(of("fffffffe")).toMatchObject({ value: { assigned: new Map([[T, new Map([[5, 0]])]]) } });
  });

  test("a state of the future", () => {
    const record = decodeConsumerRecord(bytes(currentKey), bytes("0000 00000007 00000006 2a 01 01 00"));
    expect(record).toMatchObject({ value: { state: "UNKNOWN" } });
  });

  test("partition metadata of Kafka 4.0 is there, whatever it says", () => {
    expect(decodeConsumerRecord(bytes("0004 0001 67"), bytes("0000 01 00"))).toEqual({
      kind: "consumer-partition-metadata",
      groupId: "g",
      value: "some",
    });
  });

  test("versions newer than we know are refused, other records passed over", () => {
    expect(() => decodeConsumerRecord(bytes("0003 0001 67"), bytes("0001 00000007 00"))).toThrow(MalformedError);
    expect(decodeConsumerRecord(bytes("000b 0001 67"), null)).toBeNull();
  });
});
