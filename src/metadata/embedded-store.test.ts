import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { silentLogger } from "../base/logger.ts";
import { type Clock, realClock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { type Random, realRandom } from "../io/random.ts";
import { realDisk } from "../io/real-disk.ts";
import type { Durability } from "../log/log.ts";
import { DEFAULT_LOG_DIRECTORY_CONFIG, LogDirectory } from "../log/log-directory.ts";
import { storeContract } from "./contract.ts";
import { EmbeddedStore, METADATA_LOG_CONFIG, openEmbeddedStore } from "./embedded-store.ts";
import type { KV, KVEvent, Op, Rev, TxnResult } from "./store.ts";

interface Place {
  disk: Disk;
  clock: Clock;
  random: Random;
  path: string;
  onFatal?: (error: unknown) => void;
}

const unexpected = (error: unknown): void => {
  throw error;
};

const openDirectory = (
  { disk, clock, random, path, onFatal = unexpected }: Place,
  durability: Durability = "sync",
): Promise<LogDirectory> =>
  LogDirectory.open({
    disk,
    clock,
    random,
    path,
    logger: silentLogger,
    onFatal,
    config: { ...DEFAULT_LOG_DIRECTORY_CONFIG, durability, recoveryPointIntervalMs: 5 },
  });

storeContract("embedded store on a simulated disk", async () => {
  const random = new SeededRandom(1);
  const place = { disk: new FakeDisk({ random }), clock: realClock, random, path: "/data" };
  const logs = await openDirectory(place);
  const store = await openEmbeddedStore({ logs, dataPath: place.path, ...place, logger: silentLogger, onFatal: unexpected });
  return {
    store,
    async done() {
      await store.close();
      await logs.close();
    },
  };
});

storeContract("embedded store on this machine's disk", async () => {
  const path = mkdtempSync(join(tmpdir(), "quarkmq-metadata-"));
  const place = { disk: realDisk, clock: realClock, random: realRandom, path };
  const logs = await openDirectory(place);
  const store = await openEmbeddedStore({ logs, dataPath: path, ...place, logger: silentLogger, onFatal: unexpected });
  return {
    store,
    async done() {
      await store.close();
      await logs.close();
      rmSync(path, { recursive: true });
    },
  };
});

const text = (value: Uint8Array): string => Buffer.from(value).toString();
const put = (key: string, value: string): Op => ({ put: key, value: Buffer.from(value) });
const topicId = "AAAAAAAAAAAAAAAAAAAAAQ";
const SNAPSHOT = "/data/quarkmq-metadata-snapshot";

/** A store on a simulated disk whose syncs take simulated time, with small segments and frequent snapshots. */
class World {
  readonly clock = new FakeClock();
  readonly random: SeededRandom;
  readonly disk: FakeDisk;
  readonly fatal: unknown[] = [];
  readonly warnings: string[] = [];
  powerCuts = 0;
  snapshotAfterBytes = 700;
  segmentBytes = 400;
  logs!: LogDirectory;
  store!: EmbeddedStore;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new FakeDisk({ random: this.random, clock: this.clock });
  }

  async open(): Promise<EmbeddedStore> {
    const { disk, clock, random } = this;
    const onFatal = (error: unknown) => void this.fatal.push(error);
    const logger = { ...silentLogger, warn: (message: string) => void this.warnings.push(message) };
    const opened = (async () => {
      this.logs = await openDirectory({ disk, clock, random, path: "/data", onFatal });
      const place = { topic: "__cluster_metadata", partition: 0, topicId };
      const log = await this.logs.openLog({ ...place, config: { ...METADATA_LOG_CONFIG, segmentBytes: this.segmentBytes } });
      const { snapshotAfterBytes } = this;
      return EmbeddedStore.open({ log, disk, clock, logger, onFatal, snapshotPath: SNAPSHOT, snapshotAfterBytes });
    })();
    this.store = await clock.run(opened);
    return this.store;
  }

  crash(how: "kill" | "power"): void {
    if (how === "kill") this.disk.kill();
    else this.disk.cutPower();
    if (how === "power") this.powerCuts++;
    this.clock.reset();
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.run(promise);
  }

  async contents(prefix = ""): Promise<string[]> {
    const { kvs } = await this.run(this.store.snapshot(prefix));
    return kvs.map((kv) => `${kv.key}=${text(kv.value)}`);
  }
}

describe("nothing is shown before it is durable", () => {
  test("a transaction, a conflict, a snapshot, a barrier and a watch all wait for the sync", async () => {
    const world = new World(1);
    const store = await world.open();
    const done: string[] = [];
    const watch = (async () => {
      for await (const item of store.watch("", 0n)) done.push(item.type);
    })();
    const txn = store.txn([], [put("a", "1")]).then((result) => done.push(result.kind));
    const conflict = store.txn([{ key: "a", create: 0n }], []).then((result) => done.push(result.kind));
    const snapshot = store.snapshot("").then(({ kvs }) => done.push(`snapshot of ${kvs.length}`));
    const barrier = store.barrier().then(() => done.push("barrier"));
    await world.clock.advance(0);
    expect(done).toEqual([]);
    await world.run(Promise.all([txn, conflict, snapshot, barrier]));
    expect(done.sort()).toEqual(["applied", "barrier", "conflict", "events", "snapshot of 1"]);
    await world.run(store.close());
    await watch;
  });

  test("also when the partitions of the broker count in the page cache", async () => {
    const clock = new FakeClock();
    const random = new SeededRandom(1);
    const place = { disk: new FakeDisk({ random, clock }), clock, random, path: "/data" };
    const logs = await clock.run(openDirectory(place, "page-cache"));
    const opening = openEmbeddedStore({ logs, dataPath: "/data", ...place, logger: silentLogger, onFatal: unexpected });
    const store = await clock.run(opening);
    let done = false;
    const txn = store.txn([], [put("a", "1")]).then(() => {
      done = true;
    });
    await clock.advance(0);
    expect(done).toBe(false);
    await clock.run(txn);
    place.disk.cutPower();
    clock.reset();
    const again = await clock.run(openDirectory(place, "page-cache"));
    const reopened = openEmbeddedStore({ logs: again, dataPath: "/data", ...place, logger: silentLogger, onFatal: unexpected });
    expect((await clock.run((await clock.run(reopened)).snapshot(""))).kvs.map((kv) => kv.key)).toEqual(["a"]);
  });

  test("transactions of one turn are durable together", async () => {
    const world = new World(2);
    const store = await world.open();
    await world.run(store.txn([], [put("first", "makes the file")]));
    const rounds = world.logs.rounds.count;
    await world.run(Promise.all(Array.from({ length: 5 }, (_, n) => store.txn([], [put(`k${n}`, "")]))));
    expect(world.logs.rounds.count - rounds).toBeLessThanOrEqual(2);
  });

  test("what is under way when the store closes is unknown", async () => {
    const world = new World(3);
    const store = await world.open();
    const txn = store.txn([], [put("a", "1")]);
    const barrier = store.barrier();
    barrier.catch(() => {});
    await world.run(store.close());
    expect(await txn).toEqual({ kind: "unknown" });
    await expect(barrier).rejects.toThrow("closed");
  });
});

describe("restart", () => {
  test("keys come back with their revisions; those of sessions do not", async () => {
    const world = new World(4);
    const store = await world.open();
    const session = await store.openSession(1);
    await world.run(store.txn([], [put("a", "1"), { put: "s", value: Buffer.from("x"), session: session.id }]));
    await world.run(store.txn([], [put("a", "2"), put("b", "1"), put("gone", "1")]));
    await world.run(store.txn([], [{ del: "gone" }]));
    const before = await world.run(store.snapshot(""));
    await world.run(store.close().then(() => world.logs.close()));
    const after = await world.run((await world.open()).snapshot(""));
    expect(after.kvs).toEqual(before.kvs.filter((kv) => kv.key !== "s"));
    expect(after.kvs.map((kv) => [kv.key, kv.create, kv.mod])).toEqual([
      ["a", 2n, 5n],
      ["b", 5n, 5n],
    ]);
    expect(after.rev).toBe(7n); // the session's key went with a revision of its own
  });

  test("a log that has grown is exchanged for a snapshot at the start, and both together are the state", async () => {
    const world = new World(5);
    let store = await world.open();
    for (let n = 0; n < 60; n++) await world.run(store.txn([], [put(`k${n % 7}`, `${n}`)]));
    await world.run(store.close().then(() => world.logs.close()));
    const files = () =>
      world.disk
        .list("/data/__cluster_metadata-0")!
        .filter(({ name }) => name.endsWith(".log"))
        .map(({ name }) => name);
    expect(files().length).toBeGreaterThan(5);
    store = await world.open();
    expect(files()).toEqual(["00000000000000000060.log"]);
    expect(await world.contents()).toEqual(["k0=56", "k1=57", "k2=58", "k3=59", "k4=53", "k5=54", "k6=55"]);
    expect(await world.run(store.txn([], [put("k0", "60")]))).toEqual({ kind: "applied", rev: 61n });
    await world.run(store.close().then(() => world.logs.close()));
    await world.open();
    expect((await world.contents())[0]).toBe("k0=60");
  });

  test("while it runs, a snapshot bounds the replay and nobody waits for it", async () => {
    const world = new World(6);
    const store = await world.open();
    expect(world.disk.exists(SNAPSHOT)).toBe(false);
    const revs: (Rev | null)[] = [];
    for (let n = 0; n < 30; n++) {
      const result = await world.run(store.txn([], [put("k", `${n}`)]));
      revs.push(result.kind === "applied" ? result.rev : null);
    }
    expect(revs).toEqual(Array.from({ length: 30 }, (_, n) => BigInt(n + 1)));
    expect(world.disk.exists(SNAPSHOT)).toBe(true);
    world.crash("kill");
    await world.open();
    expect(await world.contents()).toEqual(["k=29"]);
  });
});

describe("faults", () => {
  test("a full disk refuses the transaction, nothing is applied, and room makes it good again", async () => {
    const world = new World(7);
    const store = await world.open();
    await world.run(store.txn([], [put("a", "1")]));
    world.disk.capacityBytes = world.disk.usedBytes() + 20;
    await expect(world.run(store.txn([{ key: "a", mod: 1n }], [put("a", "2"), put("b", "2")]))).rejects.toMatchObject({
      error: "KAFKA_STORAGE_ERROR",
    });
    expect(await world.contents()).toEqual(["a=1"]);
    expect((await world.run(store.txn([{ key: "a", create: 0n }], []))).kind).toBe("conflict");
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(await world.run(store.txn([{ key: "a", mod: 1n }], [put("a", "3")]))).toEqual({ kind: "applied", rev: 2n });
    world.crash("power");
    await world.open();
    expect(await world.contents()).toEqual(["a=3"]);
  });

  test("a snapshot that cannot be written is only a warning", async () => {
    const world = new World(8);
    const store = await world.open();
    world.disk.fault = (operation, path) => (path.startsWith(SNAPSHOT) && operation === "write" ? { code: "ENOSPC" } : null);
    for (let n = 0; n < 30; n++) await world.run(store.txn([], [put("k", `${n}`)]));
    expect(world.warnings.length).toBeGreaterThan(0);
    expect(world.fatal).toEqual([]);
    expect(world.disk.exists(SNAPSHOT)).toBe(false);
    world.crash("power");
    await world.open();
    expect(await world.contents()).toEqual(["k=29"]);
  });

  test("a snapshot whose sync fails is fatal", async () => {
    const world = new World(9);
    const store = await world.open();
    world.disk.fault = (operation, path) => (path.startsWith(SNAPSHOT) && operation === "fdatasync" ? { code: "EIO" } : null);
    for (let n = 0; n < 20; n++) await world.run(store.txn([], [put("k", `${n}`)]));
    await world.clock.advance(100);
    expect(String(world.fatal[0])).toBe(`DiskError: fdatasync ${SNAPSHOT}.tmp: EIO`);
  });

  test("a damaged snapshot, a missing one, and a damaged log are refused by name", async () => {
    const world = new World(10);
    const store = await world.open();
    for (let n = 0; n < 30; n++) await world.run(store.txn([], [put("k", `${n}`)]));
    await world.run(store.close().then(() => world.logs.close()));
    await world.open();
    await world.run(world.store.close().then(() => world.logs.close()));
    world.disk.damage(SNAPSHOT, 40);
    await expect(world.open()).rejects.toThrow(`${SNAPSHOT}: the checksum does not match`);
    world.crash("kill");
    world.disk.remove(SNAPSHOT);
    await expect(world.open()).rejects.toThrow(
      "the metadata log __cluster_metadata-0 begins at offset 30, but the metadata snapshot ends at 0: what lies between is missing",
    );
  });
});

/** What the store must hold, from nothing but the order of the calls. */
class Model {
  /** Every transaction that was appended, in order. */
  readonly txns: { rev: Rev; ops: Op[] }[] = [];
  rev: Rev = 0n;
  state = new Map<string, KV>();
  /** What anybody was ever told. */
  shownRev: Rev = 0n;

  apply(ops: Op[]): Rev {
    const effective = ops.filter((op) => "put" in op || this.state.has(op.del));
    if (effective.length === 0) return this.rev;
    this.rev += BigInt(effective.length);
    this.txns.push({ rev: this.rev, ops: effective });
    for (const op of effective) {
      if ("del" in op) this.state.delete(op.del);
      else
        this.state.set(op.put, {
          key: op.put,
          value: op.value,
          create: this.state.get(op.put)?.create ?? this.rev,
          mod: this.rev,
        });
    }
    return this.rev;
  }

  /** After a crash: forgets the transactions above what survived. */
  rewind(rev: Rev): void {
    const kept = this.txns.filter((txn) => txn.rev <= rev).map(({ ops }) => ops);
    this.txns.length = 0;
    this.state = new Map();
    this.rev = 0n;
    for (const ops of kept) this.apply(ops);
  }

  kvs(): KV[] {
    return [...this.state.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  shown(rev: Rev): void {
    if (rev > this.shownRev) this.shownRev = rev;
  }
}

const plain = (kvs: readonly KV[]) => kvs.map(({ key, value, create, mod }) => [key, text(value), create, mod]);

/** Random histories of one store, with crashes at any moment. */
class History {
  readonly world: World;
  readonly model = new Model();
  private serial = 0;

  constructor(seed: number) {
    this.world = new World(seed);
  }

  async run(steps: number): Promise<void> {
    await this.world.open();
    this.follow();
    for (let step = 0; step < steps; step++) await this.step();
    await this.restart("power");
  }

  private async step(): Promise<void> {
    const { random, clock } = this.world;
    const dice = random.int(100);
    if (dice < 55) this.transaction();
    else if (dice < 70) this.look();
    else if (dice < 90) await clock.advance(random.fraction() * 5);
    else if (dice < 93) this.fillDisk();
    else await this.restart(random.pick(["kill", "power", "power", "clean"] as const));
  }

  private transaction(): void {
    const { random, store } = this.world;
    const keys = new Set(Array.from({ length: 1 + random.int(6) }, () => `k${random.int(12)}`));
    const ops = [...keys].map(
      (key): Op => (random.chance(0.25) ? { del: key } : put(key, `${++this.serial}${"x".repeat(random.int(60))}`)),
    );
    const guarded = `k${random.int(12)}`;
    const actual = this.model.state.get(guarded)?.mod ?? 0n;
    const holds = random.chance(0.7);
    const guard = { key: guarded, mod: holds ? actual : actual + 1n };
    const expected = holds ? this.model.apply(ops) : this.model.rev;
    const shown = holds ? "applied" : "conflict";
    void store.txn([guard], ops).then((result: TxnResult) => {
      if (result.kind === "unknown") return;
      expect([result.kind, result.rev]).toEqual([shown, expected]);
      this.model.shown(result.rev);
    });
  }

  private look(): void {
    const { store } = this.world;
    const expected = plain(this.model.kvs());
    const { rev } = this.model;
    store.snapshot("").then(
      (snapshot) => {
        expect([snapshot.rev, plain(snapshot.kvs)]).toEqual([rev, expected]);
        this.model.shown(rev);
      },
      () => {},
    );
  }

  /** A watcher rebuilds the state from events alone. */
  private follow(): void {
    const { store } = this.world;
    const seen = new Map(this.model.state);
    const take = (event: KVEvent) => (event.type === "put" ? seen.set(event.kv.key, event.kv) : seen.delete(event.key));
    void (async () => {
      for await (const item of store.watch("", this.model.rev)) {
        if (item.type === "resync" || store !== this.world.store) return;
        item.events.forEach(take);
        this.model.shown(item.rev);
        const { rev } = this.model;
        if (item.rev === rev)
          expect(plain([...seen.values()].sort((a, b) => (a.key < b.key ? -1 : 1)))).toEqual(plain(this.model.kvs()));
      }
    })();
  }

  /** With no room at all nothing applies. */
  private fillDisk(): void {
    const { disk, store } = this.world;
    disk.capacityBytes = disk.usedBytes();
    void store.txn([], [put("never", "fits")]).then(
      () => expect().fail("a transaction fitted on a full disk"),
      (error) => expect(error).toMatchObject({ error: "KAFKA_STORAGE_ERROR" }),
    );
    disk.capacityBytes = Number.POSITIVE_INFINITY;
  }

  private async restart(how: "kill" | "power" | "clean"): Promise<void> {
    const { world, model } = this;
    if (how === "clean") await world.run(world.store.close().then(() => world.logs.close()));
    else world.crash(how);
    const { powerCuts } = world;
    await this.reopen();
    const { rev, kvs } = await world.run(world.store.snapshot(""));
    if (how === "clean" || (how === "kill" && powerCuts === world.powerCuts)) expect(rev).toBe(model.rev);
    expect(rev).toBeGreaterThanOrEqual(model.shownRev);
    expect([0n, ...model.txns.map((txn) => txn.rev)]).toContain(rev); // never half of one
    model.rewind(rev);
    expect(plain(kvs)).toEqual(plain(model.kvs()));
    model.shown(rev);
    this.follow();
  }

  /** A start may be cut short too, anywhere: the next one goes on from whatever it left. */
  private async reopen(): Promise<void> {
    const { world } = this;
    while (world.random.chance(0.4)) {
      world.open().catch(() => {});
      await world.clock.advance(world.random.fraction() * 12);
      world.crash(world.random.pick(["kill", "power"] as const));
    }
    await world.open();
    expect(world.fatal).toEqual([]);
  }
}

describe("crashes at any point lose no applied transaction and show no half of one", () => {
  const seeds = Number(process.env.SIM_SEEDS ?? 60);
  const first = Number(process.env.SIM_FIRST_SEED ?? 1);
  for (let seed = first; seed < first + seeds; seed++) test(`seed ${seed}`, () => new History(seed).run(150));
});
