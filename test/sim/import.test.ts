/** Imports on a simulated disk, interrupted at any moment: a topic is here whole or not at all, and an import can be done again. */
import { describe, expect, test } from "bun:test";
import { ImportStopped } from "../../src/broker/import.ts";
import { validateClientBatch } from "../../src/record/validate.ts";
import { ImportWorld } from "./import-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 60);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);

async function makeWorld(seed: number): Promise<ImportWorld> {
  const world = new ImportWorld(seed, { recoveryPointIntervalMs: [0, 5, 1000][seed % 3]! });
  await world.putFrame();
  for (let n = 0; n < 2 + (seed % 3); n++) await world.putTopic(`t${n}`, 1 + world.random.int(3), n % 2 === 0);
  await world.start();
  return world;
}

/** Imports what is not here yet; afterwards all is. */
async function importAll(world: ImportWorld): Promise<void> {
  const here = await world.check();
  const { outcomes, done } = world.import();
  await world.clock.run(done);
  expect(outcomes.map(({ kind, name }) => [kind, name])).toEqual(
    world.topics.map(({ name }) => [here.includes(name) ? "refused" : "imported", name]),
  );
  for (const outcome of outcomes)
    if (outcome.kind === "refused") expect(outcome.reasons).toEqual([`Topic '${outcome.name}' already exists.`]);
  expect(await world.check()).toEqual(world.topics.map(({ name }) => name));
}

/** A stored batch as its producer had sent it. */
function asSent(stored: Buffer): Buffer {
  const sent = Buffer.from(stored);
  sent.writeBigInt64BE(0n, 0);
  return sent;
}

/** Appends to every partition that is here, durably; returns the batches as stored. */
async function appendToAll(world: ImportWorld): Promise<Map<string, Buffer[]>> {
  const appended = new Map<string, Buffer[]>();
  for (const { name, logs } of world.topics) {
    for (const [n, log] of logs.entries()) {
      const partition = world.broker.partition(name, n)!;
      // Segments below the start are not copied, and who wrote only into those is not known.
      const taken = log.segments.filter((_, i) => (log.segments[i + 1]?.baseOffset ?? Infinity) > (log.startOffset ?? 0));
      const last = taken.flatMap(({ batches }) => batches).findLast(({ producerId }) => producerId >= 0);
      const rules = world.broker.batchRules(partition, 9);
      if (last !== undefined) {
        const again = partition.append(validateClientBatch(asSent(last.bytes), rules));
        expect(again).toMatchObject({ duplicate: true, baseOffset: last.offset });
      }
      const fresh = log.segments.flatMap(({ batches }) => batches).find(({ producerId }) => producerId < 0);
      if (fresh === undefined) continue;
      const batch = validateClientBatch(asSent(fresh.bytes), rules);
      expect(partition.append(batch).baseOffset).toBe(log.endOffset);
      appended.set(`${name}-${n}`, [Buffer.from(batch.bytes)]);
    }
  }
  await world.clock.advance(50);
  return appended;
}

async function history(seed: number): Promise<void> {
  const world = await makeWorld(seed);
  const { random, clock } = world;
  for (let crashes = random.int(3); crashes > 0; crashes--) {
    const { done } = world.import();
    await clock.advance(random.fraction() * 150);
    void done;
    world.crash(random.pick(["kill", "power", "power"]));
    await world.start();
    await world.compactWhatIsNotHere();
  }
  await importAll(world);
  world.checkSource();
  const ids = await clock.run(Promise.resolve(world.broker.producerIds.next()));
  expect(ids).toBeGreaterThan(world.maxProducerId);
  if (random.chance(0.5)) await world.stop();
  else world.crash(random.pick(["kill", "power"]));
  await world.start();
  await world.check();
  const appended = await appendToAll(world);
  if (random.chance(0.5)) world.disk.remove("/data/quarkmq-recovery-points"); // losing it costs time, nothing else
  world.crash(random.pick(["kill", "power"]));
  await world.start();
  expect(await world.check(appended)).toEqual(world.topics.map(({ name }) => name));
  expect(world.fatal).toBeNull();
  await clock.advance(1000);
  expect(world.disk.list("/data")!.filter(({ name }) => name.endsWith("-delete"))).toEqual([]);
}

describe("an import on a simulated disk", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
    test(`seed ${seed}`, async () => {
      await history(seed);
    });
});

/** Every so many-th call; SIM_STRIDE=1 is all of them. */
const STRIDE = Number(process.env.SIM_STRIDE ?? 7);

/** Names in the data directory that are no topic's and no file of ours. */
function leftBehind(world: ImportWorld): string[] {
  const known = world.topics.filter(({ name }) => world.broker.image.topicByName(name) !== undefined);
  const theirs = new Set(known.flatMap(({ name, logs }) => logs.map((_, n) => `${name}-${n}`)));
  const names = world.disk.list("/data")!.map(({ name }) => name);
  return names.filter((name) => !theirs.has(name) && !/^(\.lock|quarkmq-.*|__cluster_metadata-0)$/.test(name));
}

/** An import that dies at its call number `at` to the disk. Returns how many calls it made. */
async function dieAt(seed: number, at: number, how: "kill" | "power"): Promise<number> {
  const world = await makeWorld(seed);
  const { disk, clock } = world;
  let calls = 0;
  disk.fault = () => (calls++ < at ? null : { code: "EIO" });
  const { done } = world.import();
  await clock.advance(1500);
  void done;
  world.crash(how);
  world.fatal = null;
  await world.start();
  await clock.advance(1000);
  expect(leftBehind(world)).toEqual([]);
  const here = await world.check();
  await importAll(world);
  await clock.advance(1000);
  expect(leftBehind(world)).toEqual([]);
  for (const { name, logs } of world.topics)
    for (const n of logs.keys()) expect(disk.exists(`/data/${name}-${n}/quarkmq-arriving`)).toBe(false);
  expect(await world.check()).toEqual(expect.arrayContaining(here));
  world.checkSource();
  await world.stop();
  return calls;
}

test.each(["kill", "power"] as const)("dead at any call (%s), it leaves nothing behind but whole topics", async (how) => {
  for (const seed of [2, 5]) {
    const calls = await dieAt(seed, Number.POSITIVE_INFINITY, how);
    expect(calls).toBeGreaterThan(100);
    for (let at = how === "kill" ? 0 : 3; at < calls; at += STRIDE) {
      try {
        await dieAt(seed, at, how);
      } catch (error) {
        throw new Error(`seed ${seed}, call ${at}: ${error instanceof Error ? error.stack : error}`);
      }
    }
  }
});

test("a directory that is no topic's and does not say that it is an import's own is kept", async () => {
  const world = await makeWorld(2);
  world.broker.adoptTopic = () => new Promise(() => {}); // up to here, then the process dies
  world.import();
  await world.clock.advance(1000);
  const { name, logs } = world.topics[0]!;
  for (const n of logs.keys()) world.disk.remove(`/data/${name}-${n}/quarkmq-arriving`);
  world.crash("kill");
  await world.start();
  await world.clock.advance(1000);
  const strays = leftBehind(world);
  expect(strays.map((stray) => stray.replace(/\.[0-9a-f]{32}-stray$/, " stray"))).toEqual(
    [...logs.keys()].map((n) => `${name}-${n} stray`),
  );
  await importAll(world);
  expect(leftBehind(world)).toEqual(strays);
});

test("told to stop, it leaves whole topics, and goes on another time", async () => {
  for (let calls = 1; calls < 60; calls += 7) {
    const world = await makeWorld(calls);
    let left = calls;
    const { outcomes, done } = world.import(() => --left < 0);
    const error = await world.clock.run(
      done.then(
        () => null,
        (thrown: unknown) => thrown,
      ),
    );
    if (error !== null) expect(error).toBeInstanceOf(ImportStopped);
    expect(await world.check()).toEqual(outcomes.map(({ name }) => name));
    await world.stop();
    await world.start();
    await importAll(world);
  }
});

test("a full disk refuses a topic, and nothing of it stays", async () => {
  const world = await makeWorld(3);
  await world.clock.advance(100);
  world.disk.capacityBytes = world.disk.usedBytes() + 2000;
  const { outcomes, done } = world.import();
  await world.clock.run(done);
  const refused = outcomes.filter((outcome) => outcome.kind === "refused");
  expect(refused.length).toBeGreaterThan(0);
  for (const { reasons } of refused) expect(reasons.join()).toContain("ENOSPC");
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  await world.clock.advance(1000);
  await importAll(world);
});

test("a failed sync ends the import, and nothing is shown of what it concerned", async () => {
  for (let n = 0; n < 12; n++) {
    const world = await makeWorld(n);
    let left = 1 + n * 4;
    world.disk.fault = (operation) => (/sync/.test(operation) && --left === 0 ? { code: "EIO" } : null);
    const { done } = world.import();
    let ended = false;
    done
      .catch(() => {})
      .finally(() => {
        ended = true;
      });
    await world.clock.advance(2000);
    expect(ended || world.fatal !== null).toBe(true);
    world.crash("power");
    world.fatal = null;
    await world.start();
    await importAll(world);
  }
});

test("what an earlier import found of the same topic is not believed of what comes now", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const world = await makeWorld(seed);
    world.broker.adoptTopic = () => new Promise(() => {}); // up to here, then the machine stops
    world.import();
    await world.clock.advance(3000); // long enough for the recovery points to be written down
    world.crash(seed % 2 === 0 ? "kill" : "power");
    await world.start();
    await world.compactWhatIsNotHere();
    await importAll(world);
  }
});
