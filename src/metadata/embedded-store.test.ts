import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { silentLogger } from "../base/logger.ts";
import { realClock } from "../io/clock.ts";
import { realRandom } from "../io/random.ts";
import { realDisk } from "../io/real-disk.ts";
import { storeContract } from "./contract.ts";
import { openEmbeddedStore } from "./embedded-store.ts";
import { openDirectory, put, SNAPSHOT, unexpected, World } from "./embedded-store-rig.ts";
import type { Rev } from "./store.ts";

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
