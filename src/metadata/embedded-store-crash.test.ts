import { describe, expect, test } from "bun:test";
import { put, text, World } from "./embedded-store-rig.ts";
import type { KV, KVEvent, Op, Rev, TxnResult } from "./store.ts";

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
