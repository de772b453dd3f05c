import { expect, test } from "bun:test";
import { NewerMetadata, parseKey, topicConfigKey, topicKey, topicNameKey } from "./keys.ts";
import type { KV } from "./store.ts";
import {
  decodeBroker,
  decodeCluster,
  decodeConfig,
  decodeFeatures,
  decodeIncarnation,
  decodeProducerIdBlock,
  decodeTopic,
  decodeTopicName,
  encodeBroker,
  encodeCluster,
  encodeConfig,
  encodeFeatures,
  encodeIncarnation,
  encodeProducerIdBlock,
  encodeTopic,
  encodeTopicName,
} from "./values.ts";

const kv = (key: string, value: Uint8Array | string): KV => ({
  key,
  value: typeof value === "string" ? new Uint8Array(Buffer.from(value.replaceAll(" ", ""), "hex")) : value,
  create: 1n,
  mod: 1n,
});
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const flat = (text: string) => text.replaceAll(" ", "");

const topic = {
  name: "ab",
  state: "live" as const,
  partitions: [
    { index: 0, leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] },
    { index: 1, leader: 2, leaderEpoch: 3, partitionEpoch: 4, replicas: [2, 1], isr: [2] },
  ],
};
/** version, name, state, partitions: (leader, leader epoch, partition epoch, replicas, isr, no tags) */
const TOPIC_BYTES = `0000 036162 00 03
  00000001 00000000 00000000 02 00000001 02 00000001 00
  00000002 00000003 00000004 03 00000002 00000001 02 00000002 00 00`.replaceAll(/\s/g, "");

test("the bytes on the disk are these", () => {
  expect(hex(encodeTopic(topic))).toBe(TOPIC_BYTES);
  expect(hex(encodeTopic({ ...topic, name: "", state: "deleting", partitions: [] }))).toBe(flat("0000 01 01 01 00"));
  expect(hex(encodeTopicName({ name: "a.b", topicId: "AAAAAAAAAAAAAAAAAAAAAQ" }))).toBe(
    flat("0000 04612e62 00000000000000000000000000000001 00"),
  );
  expect(hex(encodeConfig(new Map([["k", "v"]])))).toBe(flat("0000 02 026b 0276 00 00"));
  expect(hex(encodeProducerIdBlock({ nextProducerId: 1000 }))).toBe(flat("0000 00000000000003e8 00"));
  expect(hex(encodeIncarnation({ incarnation: 2 }))).toBe(flat("0000 0000000000000002 00"));
  expect(hex(encodeBroker({ incarnation: 1, host: "h", port: 9092, rack: null }))).toBe(
    flat("0000 0000000000000001 0268 00002384 00 00"),
  );
  expect(hex(encodeFeatures(new Map([["f", 3]])))).toBe(flat("0000 02 0266 0003 00 00"));
  expect(hex(encodeCluster({ clusterId: "c", format: 1, createdAtMs: 5 }))).toBe(flat("0000 0263 0001 0000000000000005 00"));
});

test("and read back", () => {
  expect(decodeTopic(kv("topics/x", TOPIC_BYTES))).toEqual(topic);
  expect(decodeTopic(kv("topics/x", "0000 01 01 01 00"))).toEqual({ name: "", state: "deleting", partitions: [] });
  expect(decodeTopicName(kv("names/a_b", "0000 04612e62 00000000000000000000000000000001 00"))).toEqual({
    name: "a.b",
    topicId: "AAAAAAAAAAAAAAAAAAAAAQ",
  });
  expect([...decodeConfig(kv("config/topic/x", "0000 02 026b 0276 00 00"))]).toEqual([["k", "v"]]);
  expect(decodeProducerIdBlock(kv("pidblock", "0000 00000000000003e8 00"))).toEqual({ nextProducerId: 1000 });
  expect(decodeIncarnation(kv("incarnation/1", "0000 0000000000000002 00"))).toEqual({ incarnation: 2 });
  expect(decodeBroker(kv("brokers/7", "0000 0000000000000001 0268 00002384 00 00"))).toEqual({
    nodeId: 7,
    incarnation: 1,
    host: "h",
    port: 9092,
    rack: null,
  });
  expect([...decodeFeatures(kv("features", "0000 02 0266 0003 00 00"))]).toEqual([["f", 3]]);
  expect(decodeCluster(kv("cluster", "0000 0263 0001 0000000000000005 00")).clusterId).toBe("c");
});

test("a tagged field of a later minor change is passed over", () => {
  expect(decodeProducerIdBlock(kv("pidblock", "0000 00000000000003e8 01 00 02 abcd"))).toEqual({ nextProducerId: 1000 });
});

test("what a newer version wrote is refused with a message that says so", () => {
  const newer = (run: () => unknown, what: string) => {
    expect(run).toThrow(NewerMetadata);
    expect(run).toThrow(what);
    expect(run).toThrow("written by a newer quarkmq");
  };
  newer(() => decodeTopic(kv("topics/x", "0001 0000")), "topics/x has version 1, this one knows 0");
  newer(() => decodeProducerIdBlock(kv("pidblock", "0005")), "pidblock has version 5, this one knows 0");
  newer(() => decodeTopic(kv("topics/x", "0000 01 07 01 00")), "topics/x is in the unknown state 7");
  newer(() => decodeCluster(kv("cluster", "0000 0263 0002 0000000000000005 00")), "metadata format 2, this one knows 1");
  newer(() => parseKey("acl/1"), "unknown metadata key acl/1");
});

test("a topic of a million partitions is one value", () => {
  const one = { index: 0, leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] };
  const partitions = Array.from({ length: 1_000_000 }, (_, index) => ({ ...one, index }));
  const read = decodeTopic(kv("topics/x", encodeTopic({ name: "big", state: "live", partitions })));
  expect(read.partitions.length).toBe(1_000_000);
  expect(read.partitions[999_999]).toEqual({ ...one, index: 999_999 });
});

test("keys", () => {
  expect([topicKey("I"), topicConfigKey("I"), topicNameKey("a.b_c.d")]).toEqual(["topics/I", "config/topic/I", "names/a_b_c_d"]);
  expect(parseKey("topics/I")).toEqual({ kind: "topic", id: "I" });
  expect(parseKey("config/topic/I")).toEqual({ kind: "topicConfig", id: "I" });
  expect(parseKey("brokers/3")).toEqual({ kind: "broker", id: "3" });
  expect(["names/a", "pidblock", "incarnation/1"].map((key) => parseKey(key).kind)).toEqual(["other", "other", "other"]);
});
