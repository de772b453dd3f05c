import { expect, test } from "bun:test";
import { silentLogger } from "../base/logger.ts";
import { MemoryStore } from "../metadata/memory-store.ts";
import type { Cmp, Op, TxnResult } from "../metadata/store.ts";
import { ProducerIds } from "./producer-ids.ts";

const take = async (ids: ProducerIds, count: number): Promise<number[]> => {
  const taken: number[] = [];
  for (let n = 0; n < count; n++) taken.push(await ids.next());
  return taken;
};

test("ids begin at 0 and follow each other over blocks", async () => {
  const ids = new ProducerIds(new MemoryStore(), silentLogger);
  expect(await take(ids, 2500)).toEqual(Array.from({ length: 2500 }, (_, n) => n));
});

test("a restart begins a new block", async () => {
  const store = new MemoryStore();
  expect(await take(new ProducerIds(store, silentLogger), 3)).toEqual([0, 1, 2]);
  expect(await take(new ProducerIds(store, silentLogger), 3)).toEqual([1000, 1001, 1002]);
});

test("no two brokers have an id in common", async () => {
  const store = new MemoryStore();
  const brokers = [1, 2, 3].map(() => new ProducerIds(store, silentLogger));
  const taken = (await Promise.all(brokers.map((ids) => take(ids, 3000)))).flat();
  expect(new Set(taken).size).toBe(9000);
});

test("many who wait for the same block", async () => {
  const ids = new ProducerIds(new MemoryStore(), silentLogger);
  const taken = await Promise.all(Array.from({ length: 5000 }, () => ids.next()));
  expect(new Set(taken).size).toBe(5000);
});

test("a block whose allocation has an unknown outcome is never used twice", async () => {
  const store = new MemoryStore();
  store.loseTrack = "of applied";
  const first = new ProducerIds(store, silentLogger);
  expect(await first.next()).toBe(1000);
  store.loseTrack = "of refused";
  expect(await new ProducerIds(store, silentLogger).next()).toBe(2000);
});

/** A store whose disk is full, as long as it is told so. */
class Full extends MemoryStore {
  full = true;
  override async txn(guard: readonly Cmp[], ops: readonly Op[]): Promise<TxnResult> {
    if (this.full) throw new Error("ENOSPC");
    return super.txn(guard, ops);
  }
}

test("when no block can be had, clients are told to try again, and can", async () => {
  const store = new Full();
  const ids = new ProducerIds(store, silentLogger);
  await expect(ids.next()).rejects.toMatchObject({ error: "COORDINATOR_LOAD_IN_PROGRESS" });
  store.full = false;
  expect(await ids.next()).toBe(0);
});

test("within a block the answer is there at once, and the next block is fetched ahead", async () => {
  const store = new MemoryStore();
  const ids = new ProducerIds(store, silentLogger);
  await ids.next();
  for (let id = 1; id < 1000; id++) {
    expect(ids.next()).toBe(id);
    if (id === 950) await Bun.sleep(1);
  }
  expect(ids.next()).toBe(1000);
});

test("ids that stand in logs from elsewhere are not given out again", async () => {
  const store = new MemoryStore();
  const ids = new ProducerIds(store, silentLogger);
  expect(await take(ids, 2)).toEqual([0, 1]);
  await ids.startAt(4711);
  expect(await take(ids, 2)).toEqual([4711, 4712]);
  await ids.startAt(7); // lower than what has been given out already
  expect(await take(ids, 1)).toEqual([4713]);
  expect(await take(new ProducerIds(store, silentLogger), 1)).toEqual([5711]);
});
