/**
 * What every metadata store must do, as tests: each implementation's own test file calls `storeContract` with a way to make a
 * fresh, empty store. Only literal expectations; nothing here knows how a store works.
 */
import { expect, test } from "bun:test";
import type { KV, KVEvent, MetadataStore, Op, TxnResult, WatchItem } from "./store.ts";

/** Makes an empty store; `done` is called when the test has finished with it, closed or not. */
export type MakeStore = () => Promise<{ store: MetadataStore; done: () => Promise<void> }>;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (value: Uint8Array): string => new TextDecoder().decode(value);
const put = (key: string, value: string): Op => ({ put: key, value: bytes(value) });
const shown = (kvs: readonly KV[]): string[] => kvs.map((kv) => `${kv.key}=${text(kv.value)}`);
const told = (event: KVEvent): string => (event.type === "put" ? `${event.kv.key}=${text(event.kv.value)}` : `-${event.key}`);

function applied(result: TxnResult): bigint {
  if (result.kind !== "applied") throw new Error(`expected applied, got ${result.kind}`);
  return result.rev;
}

/** The next `count` items of a watch. */
async function take(items: AsyncIterable<WatchItem>, count: number): Promise<WatchItem[]> {
  const taken: WatchItem[] = [];
  for await (const item of items) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

const events = (items: readonly WatchItem[]): string[][] =>
  items.map((item) => (item.type === "events" ? item.events.map(told) : [item.type]));

export function storeContract(name: string, make: MakeStore): void {
  const check = (what: string, run: (store: MetadataStore) => Promise<void>) =>
    test(`${name}: ${what}`, async () => {
      const { store, done } = await make();
      try {
        await run(store);
      } finally {
        await done();
      }
    });

  check("is empty at first", async (store) => {
    expect((await store.snapshot("")).kvs).toEqual([]);
  });

  check("shows what it applied, in key order, under the prefix only", async (store) => {
    applied(await store.txn([], [put("b/2", "x"), put("a/1", "y"), put("b/1", "z")]));
    applied(await store.txn([], [put("a/1", "w")]));
    expect(shown((await store.snapshot("")).kvs)).toEqual(["a/1=w", "b/1=z", "b/2=x"]);
    expect(shown((await store.snapshot("b/")).kvs)).toEqual(["b/1=z", "b/2=x"]);
    expect(shown((await store.snapshot("c")).kvs)).toEqual([]);
  });

  check("revisions grow, and a key knows which made it and which put it last", async (store) => {
    const first = applied(await store.txn([], [put("a", "1"), put("b", "1")]));
    const second = applied(await store.txn([], [put("a", "2")]));
    expect(first > 0n).toBe(true);
    expect(second > first).toBe(true);
    const { rev, kvs } = await store.snapshot("");
    expect(rev).toBe(second);
    expect(kvs.map((kv) => [kv.key, kv.create, kv.mod])).toEqual([
      ["a", first, second],
      ["b", first, first],
    ]);
  });

  check("a key that was deleted and put again is a new one", async (store) => {
    const first = applied(await store.txn([], [put("a", "1")]));
    applied(await store.txn([], [{ del: "a" }]));
    expect((await store.snapshot("")).kvs).toEqual([]);
    const third = applied(await store.txn([{ key: "a", mod: 0n }], [put("a", "2")]));
    expect(third > first).toBe(true);
    expect((await store.snapshot("")).kvs.map((kv) => [kv.create, kv.mod])).toEqual([[third, third]]);
  });

  check("create == 0 lets one of two through", async (store) => {
    const results = await Promise.all(["1", "2"].map((value) => store.txn([{ key: "name", create: 0n }], [put("name", value)])));
    expect(results.map((result) => result.kind).sort()).toEqual(["applied", "conflict"]);
    const winner = results[0]!.kind === "applied" ? "1" : "2";
    const loser = results.find((result) => result.kind === "conflict")!;
    expect(loser.kind === "conflict" && shown([...loser.current.values()])).toEqual([`name=${winner}`]);
    expect(shown((await store.snapshot("")).kvs)).toEqual([`name=${winner}`]);
  });

  check("mod guards against a change in between", async (store) => {
    const first = applied(await store.txn([], [put("a", "1")]));
    const second = applied(await store.txn([{ key: "a", mod: first }], [put("a", "2")]));
    const late = await store.txn([{ key: "a", mod: first }], [put("a", "3")]);
    expect(late.kind).toBe("conflict");
    if (late.kind === "conflict") expect(late.current.get("a")?.mod).toBe(second);
    expect(shown((await store.snapshot("")).kvs)).toEqual(["a=2"]);
    applied(await store.txn([{ key: "a", create: first }], [put("a", "4")]));
  });

  check("one failed guard stops the whole transaction; a conflict names the guarded keys that exist", async (store) => {
    applied(await store.txn([], [put("a", "1")]));
    const guard = [
      { key: "a", create: 0n },
      { key: "b", create: 0n },
    ];
    const result = await store.txn(guard, [put("a", "2"), put("b", "2"), put("c", "2")]);
    expect(result.kind).toBe("conflict");
    if (result.kind === "conflict") expect([...result.current.keys()]).toEqual(["a"]);
    expect(shown((await store.snapshot("")).kvs)).toEqual(["a=1"]);
  });

  check("guards see every transaction called before, finished or not", async (store) => {
    const first = store.txn([{ key: "a", create: 0n }], [put("a", "1")]);
    const second = store.txn([{ key: "a", create: 0n }], [put("a", "2")]);
    expect((await second).kind).toBe("conflict");
    expect((await first).kind).toBe("applied");
  });

  check("deleting what does not exist applies and is no event", async (store) => {
    applied(await store.txn([], [{ del: "nothing" }]));
    const watch = store.watch("", (await store.snapshot("")).rev);
    applied(await store.txn([], [{ del: "nothing" }, put("a", "1")]));
    expect(events(await take(watch, 1))).toEqual([["a=1"]]);
  });

  check("a transaction of guards alone applies when they hold", async (store) => {
    expect((await store.txn([{ key: "a", create: 0n }], [])).kind).toBe("applied");
    applied(await store.txn([], [put("a", "1")]));
    expect((await store.txn([{ key: "a", create: 0n }], [])).kind).toBe("conflict");
  });

  check("takes 100 operations, not 101, and no key twice", async (store) => {
    const many = (count: number) => Array.from({ length: count }, (_, n) => put(`k${n}`, ""));
    applied(await store.txn([], many(100)));
    await expect(store.txn([], many(101))).rejects.toThrow();
    await expect(store.txn([], [put("a", "1"), put("a", "2")])).rejects.toThrow();
    await expect(store.txn([], [put("a", "1"), { del: "a" }])).rejects.toThrow();
    expect((await store.snapshot("")).kvs.length).toBe(100);
  });

  check("keeps values and keys of any bytes", async (store) => {
    const value = Uint8Array.from({ length: 256 }, (_, n) => n);
    applied(
      await store.txn(
        [],
        [
          { put: "ключ/☃", value },
          { put: "empty", value: new Uint8Array(0) },
        ],
      ),
    );
    const { kvs } = await store.snapshot("");
    expect(kvs.map((kv) => kv.key)).toEqual(["empty", "ключ/☃"]);
    expect([...kvs[1]!.value]).toEqual([...value]);
    expect(kvs[0]!.value.length).toBe(0);
  });

  check("a watch tells whole transactions in order, from the revision it was given", async (store) => {
    const before = applied(await store.txn([], [put("a", "0")]));
    const watch = store.watch("", before);
    const one = applied(await store.txn([], [put("a", "1"), put("b", "1")]));
    const two = applied(await store.txn([], [{ del: "a" }, put("c", "2")]));
    const items = await take(watch, 2);
    expect(events(items)).toEqual([
      ["a=1", "b=1"],
      ["-a", "c=2"],
    ]);
    expect(items.map((item) => item.type === "events" && item.rev)).toEqual([one, two]);
  });

  check("a watch that begins late is told what it missed, or to resync", async (store) => {
    const before = applied(await store.txn([], [put("a", "0")]));
    applied(await store.txn([], [put("a", "1")]));
    const [first] = await take(store.watch("", before), 1);
    expect(events([first!])[0]).toBeOneOf([["a=1"], ["resync"]]);
  });

  check("a watch that begins long after is told to resync, by transactions and by bytes", async (store) => {
    const before = applied(await store.txn([], [put("a", "0")]));
    for (let n = 0; n < 8; n++) applied(await store.txn([], [{ put: "big", value: new Uint8Array(1024 * 1024) }]));
    expect(await take(store.watch("", before), 5)).toEqual([{ type: "resync" }]);
    const later = applied(await store.txn([], [put("a", "1")]));
    await Promise.all(Array.from({ length: 2000 }, (_, n) => store.txn([], [put("a", `${n}`)])));
    expect(await take(store.watch("", later), 5)).toEqual([{ type: "resync" }]);
  });

  check("a watch sees its prefix only and skips transactions without it", async (store) => {
    const watch = store.watch("topics/", (await store.snapshot("")).rev);
    applied(await store.txn([], [put("config/a", "1")]));
    applied(await store.txn([], [put("config/a", "2"), put("topics/a", "2")]));
    applied(await store.txn([], [put("topics/b", "3")]));
    expect(events(await take(watch, 2))).toEqual([["topics/a=2"], ["topics/b=3"]]);
  });

  check("snapshot and watch together miss nothing and repeat nothing", async (store) => {
    const writes: Promise<TxnResult>[] = [];
    for (let n = 0; n < 20; n++) writes.push(store.txn([], [put(`k${n}`, `${n}`)]));
    const { rev, kvs } = await store.snapshot("");
    const watch = store.watch("", rev);
    for (let n = 20; n < 40; n++) writes.push(store.txn([], [put(`k${n}`, `${n}`)]));
    await Promise.all(writes);
    const later = kvs.length < 40 ? events(await take(watch, 40 - kvs.length)).flat() : [];
    expect([...shown(kvs), ...later].sort()).toEqual(Array.from({ length: 40 }, (_, n) => `k${n}=${n}`).sort());
  });

  check("a watcher that falls far behind is told to resync, and that ends its watch", async (store) => {
    const watch = store.watch("", (await store.snapshot("")).rev);
    const writes: Promise<TxnResult>[] = [];
    for (let n = 0; n < 5000; n++) writes.push(store.txn([], [put("k", `${n}`)]));
    await Promise.all(writes);
    const items = await take(watch, 6000);
    expect(items.length).toBeLessThan(5000);
    expect(items.at(-1)).toEqual({ type: "resync" });
  });

  check("a snapshot holds everything that had resolved before it", async (store) => {
    for (let n = 0; n < 5; n++) {
      const rev = applied(await store.txn([], [put("k", `${n}`)]));
      expect((await store.barrier()) >= rev).toBe(true);
      const snapshot = await store.snapshot("k");
      expect(shown(snapshot.kvs)).toEqual([`k=${n}`]);
      expect(snapshot.rev >= rev).toBe(true);
    }
  });

  check("a session's keys go with it, others stay", async (store) => {
    const session = await store.openSession(10_000);
    const other = await store.openSession(10_000);
    expect([session.valid, session.id === other.id]).toEqual([true, false]);
    applied(
      await store.txn(
        [],
        [
          { put: "brokers/1", value: bytes("1"), session: session.id },
          { put: "brokers/2", value: bytes("2"), session: other.id },
          put("topics/a", "a"),
        ],
      ),
    );
    const watch = store.watch("", (await store.snapshot("")).rev);
    await session.close();
    expect(session.valid).toBe(false);
    expect(events(await take(watch, 1))).toEqual([["-brokers/1"]]);
    expect(shown((await store.snapshot("")).kvs)).toEqual(["brokers/2=2", "topics/a=a"]);
    await session.close();
    await other.close();
    expect(shown((await store.snapshot("")).kvs)).toEqual(["topics/a=a"]);
  });

  check("a key put again without the session outlives it", async (store) => {
    const session = await store.openSession(10_000);
    applied(await store.txn([], [{ put: "a", value: bytes("1"), session: session.id }]));
    applied(await store.txn([], [put("a", "2")]));
    await session.close();
    expect(shown((await store.snapshot("")).kvs)).toEqual(["a=2"]);
  });

  check("close ends the watches after what they had to tell, and refuses later calls", async (store) => {
    const watch = store.watch("", (await store.snapshot("")).rev);
    applied(await store.txn([], [put("a", "1")]));
    const taken = take(watch, 2);
    await store.close();
    expect(events(await taken)).toEqual([["a=1"]]);
    await expect(store.txn([], [put("a", "2")])).rejects.toThrow();
    await expect(store.snapshot("")).rejects.toThrow();
    await expect(store.barrier()).rejects.toThrow();
    expect(await take(store.watch("", 0n), 1)).toEqual([]);
  });
}
