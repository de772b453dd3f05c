import { expect, test } from "bun:test";
import { storeContract } from "./contract.ts";
import { MemoryStore } from "./memory-store.ts";

storeContract("memory store", async () => {
  const store = new MemoryStore();
  return { store, done: () => store.close() };
});

test("memory store: can lose track of a transaction that applied, and of one that did not", async () => {
  const store = new MemoryStore();
  const value = new Uint8Array(1);
  store.loseTrack = "of applied";
  expect(await store.txn([], [{ put: "a", value }])).toEqual({ kind: "unknown" });
  store.loseTrack = "of refused";
  expect(await store.txn([], [{ put: "b", value }])).toEqual({ kind: "unknown" });
  expect((await store.snapshot("")).kvs.map((kv) => kv.key)).toEqual(["a"]);
});
