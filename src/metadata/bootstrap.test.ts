import { expect, test } from "bun:test";
import { realRandom } from "../io/random.ts";
import { bootstrap, ForeignMetadata } from "./bootstrap.ts";
import { FEATURES } from "./features.ts";
import { NewerMetadata } from "./keys.ts";
import { MemoryStore } from "./memory-store.ts";
import type { MetadataStore } from "./store.ts";
import { decodeFeatures, encodeFeatures } from "./values.ts";

const start = (store: MetadataStore, nodeId = 1, embedded = true) =>
  bootstrap({ store, random: realRandom, nowMs: 1_700_000_000_000, nodeId, host: "h", port: 9092, embedded });

test("the first start makes a cluster; later ones keep its id and count", async () => {
  const store = new MemoryStore();
  const first = await start(store);
  expect(first.clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/);
  expect(first.incarnation).toBe(1);
  expect(await start(store)).toEqual({ clusterId: first.clusterId, incarnation: 2 });
  expect(await start(store)).toEqual({ clusterId: first.clusterId, incarnation: 3 });
  const keys = (await store.snapshot("")).kvs.map((kv) => kv.key);
  expect(keys).toEqual(["brokers/1", "cluster", "features", "incarnation/1"]);
});

test("another node id on the same data directory is refused, and nothing is written", async () => {
  const store = new MemoryStore();
  const { clusterId } = await start(store, 1);
  const before = await store.barrier();
  const refused = start(store, 2);
  await expect(refused).rejects.toThrow(ForeignMetadata);
  await expect(refused).rejects.toThrow(
    `the data directory belongs to the broker with node id 1 (cluster ${clusterId}), but this one is configured with node id 2: set node id 1, or use another data directory`,
  );
  expect(await store.barrier()).toBe(before);
  expect((await start(store, 1)).incarnation).toBe(2);
});

test("brokers that share a store start at once and agree on one cluster", async () => {
  const store = new MemoryStore();
  const started = await Promise.all([1, 2, 3].map((nodeId) => start(store, nodeId, false)));
  expect(new Set(started.map(({ clusterId }) => clusterId)).size).toBe(1);
  expect(started.map(({ incarnation }) => incarnation)).toEqual([1, 1, 1]);
});

test("no two starts have the same incarnation, also when an outcome is unknown", async () => {
  const store = new MemoryStore();
  store.loseTrack = "of applied";
  expect((await start(store)).incarnation).toBe(2);
  store.loseTrack = "of refused";
  expect((await start(store)).incarnation).toBe(3);
});

test("features that nobody has decided about begin with their highest level, at an older cluster's next start too", async () => {
  const store = new MemoryStore();
  const stored = async () => [...decodeFeatures((await store.snapshot("features")).kvs[0]!)];
  await start(store);
  expect(await stored()).toEqual(FEATURES.map(({ name, max }) => [name, max]));
  await store.txn([], [{ put: "features", value: encodeFeatures(new Map()) }]);
  await start(store);
  expect(await stored()).toEqual(FEATURES.map(({ name, max }) => [name, max]));
  await store.txn([], [{ put: "features", value: encodeFeatures(new Map([["off.version", 0]])) }]);
  await start(store);
  expect(await stored()).toContainEqual(["off.version", 0]);
  await store.txn([], [{ put: "features", value: encodeFeatures(new Map([["later.version", 1]])) }]);
  await expect(start(store)).rejects.toThrow(NewerMetadata);
});
