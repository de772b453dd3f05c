/**
 * Transactions under crashes, from a seed: producers of both generations of the protocol, readers of committed data, and a broker that dies at
 * any moment. What a transaction wrote, in partitions and as a group's offsets, is seen whole or not at all; what was acknowledged stays.
 */
import { describe, expect, test } from "bun:test";
import { Fetch } from "../../src/protocol/messages/01-fetch.ts";
import { OffsetFetch } from "../../src/protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { batchBytes, isControl, isTransactional, lastOffset, producerId } from "../../src/record/batch.ts";
import { records } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";
import { create, TOPIC } from "./data-requests.ts";
import { GROUP_OF, type Surroundings, type Told as ToldOf, TransactionalClient } from "./transactional-client.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 150);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const LIVES = 4;
const CLIENTS = 3;
const PARTITIONS = 3;
const TIMEOUT_MS = 200;

interface Told extends ToldOf {
  readonly tag: string;
  readonly client: string;
  readonly values: string[];
}

/** Clients that do as much as they can until their broker dies, and write one record at a time. */
function aroundClient(world: BrokerWorld, client: string, life: number, told: Map<string, Told>): Surroundings<Told> {
  const { random, clock } = world;
  const bornIn = world.lives;
  let count = 0;
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
  return {
    random,
    nowMs: () => clock.nowMs(),
    async ask(api, version, request) {
      if (world.lives !== bornIn) await new Promise(() => {}); // it died with the broker
      const asked = world.send(api, version, request);
      await asked.ended;
      return asked.response!;
    },
    async turn(why) {
      if (why === "again") await sleep(5 + random.int(20));
      if (why === "idle") await sleep(random.int(400));
    },
    double(api, version, request) {
      clock.schedule(random.fraction() * 30, () => {
        const again = world.lives === bornIn ? request() : null;
        if (again !== null) world.send(api, version, again);
      });
    },
    renews() {},
    begins({ producerId: id, epoch }) {
      const tag = `${client} ${life} ${++count} ${id} ${epoch}`;
      const begun: Told = { tag, client, state: "open", values: [], offset: null };
      told.set(tag, begun);
      return begun;
    },
    nextWrite({ tag, values }) {
      const index = random.int(PARTITIONS);
      const value = `${tag}|${index}|${values.length}`;
      values.push(value);
      return { topic: TOPIC, topicId: ZERO_UUID, index, records: [{ key: null, value }] };
    },
    wrote() {},
    nextOffset: () => life * 10_000 + count,
    committedOffset() {},
    failed(what, error) {
      if (what === "init") throw new Error(`init: ${error}`);
    },
  };
}

/** Values that a consumer of committed data gets, by partition, as Java's consumer leaves out what was aborted (CompletedFetch). */
async function readCommitted(world: BrokerWorld, index: number): Promise<string[]> {
  const values: string[] = [];
  for (let offset = 0; ; ) {
    const topics = [
      {
        topic: TOPIC,
        topicId: ZERO_UUID,
        partitions: [
          { partition: index, fetchOffset: offset, partitionMaxBytes: 1500, currentLeaderEpoch: -1, lastFetchedEpoch: -1 },
        ],
      },
    ];
    const limits = { maxWaitMs: 0, minBytes: 1, maxBytes: 1500, isolationLevel: 1, replicaId: -1 };
    const session = { sessionId: 0, sessionEpoch: -1, forgottenTopicsData: [] };
    const { responses } = await world.ask(Fetch, { ...limits, ...session, topics }, 12);
    const { records: bytes, abortedTransactions, errorCode } = responses[0]!.partitions[0]!;
    expect(errorCode).toBe(0);
    if (bytes === null || bytes.length === 0) return values;
    const aborted = [...abortedTransactions!].sort((a, b) => a.firstOffset - b.firstOffset);
    const leftOut = new Set<number>();
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
      const last = lastOffset(bytes, at);
      while (aborted.length > 0 && aborted[0]!.firstOffset <= last) leftOut.add(aborted.shift()!.producerId);
      const id = producerId(bytes, at);
      if (isControl(bytes, at)) {
        const [marker] = records(bytes, at, { maxBytes: 1000 });
        if (marker!.key!.readInt16BE(2) === 0) leftOut.delete(id);
      } else if (!(isTransactional(bytes, at) && leftOut.has(id))) {
        for (const { value, offset: each } of records(bytes, at, { maxBytes: 100_000 }))
          if (each >= offset) values.push(String(value));
      }
      offset = Math.max(offset, last + 1);
    }
  }
}

async function committedOffset(world: BrokerWorld, client: string): Promise<number> {
  const topics = [{ name: TOPIC, topicId: ZERO_UUID, partitionIndexes: [0] }];
  const request = { requireStable: true, groups: [{ groupId: GROUP_OF(client), memberId: null, memberEpoch: -1, topics }] };
  for (let attempt = 0; attempt < 100; attempt++) {
    const { groups } = await world.ask(OffsetFetch, request, 9);
    const partition = groups[0]?.topics[0]?.partitions[0];
    if (groups[0]?.errorCode === 0 && partition?.errorCode === 0) return partition.committedOffset;
    await world.clock.advance(20);
  }
  throw new Error(`the offsets of ${client} stay unstable`);
}

/** Nothing is seen that nobody wanted committed, and nothing twice. */
function checkSeen(told: ReadonlyMap<string, Told>, seen: readonly string[]): void {
  expect(new Set(seen).size).toBe(seen.length);
  for (const value of seen) {
    const { tag } = parse(value);
    const state = told.get(tag)!.state;
    if (state !== "committing" && state !== "committed") throw new Error(`${value} is seen, but its transaction is ${state}`);
  }
}

const parse = (value: string): { tag: string; partition: number } => {
  const [tag, partition] = value.split("|");
  return { tag: tag!, partition: Number(partition) };
};

/** Everything has ended: each transaction is there whole, or not at all. */
async function checkEnd(world: BrokerWorld, told: ReadonlyMap<string, Told>): Promise<void> {
  const seen: string[] = [];
  for (let index = 0; index < PARTITIONS; index++) {
    const partition = world.broker.partition(TOPIC, index)!;
    expect(partition.lastStableOffset).toBe(partition.highWatermark); // nothing hangs
    seen.push(...(await readCommitted(world, index)));
  }
  checkSeen(told, seen);
  const newestOffset = new Map<string, number>();
  for (const { tag, client, state, values, offset } of told.values()) {
    const there = values.filter((value) => seen.includes(value));
    if (state === "committed") expect([tag, there]).toEqual([tag, values]);
    else if (there.length > 0) expect([tag, there]).toEqual([tag, values]);
    const counts = state === "committed" || there.length > 0;
    if (offset !== null && counts) newestOffset.set(client, Math.max(offset, newestOffset.get(client) ?? -1));
  }
  for (const [client, offset] of newestOffset) {
    // One that wrote offsets alone may have been committed unseen.
    const found = await committedOffset(world, client);
    const maybe = [...told.values()].filter(
      (each) => each.client === client && each.values.length === 0 && each.state === "committing",
    );
    expect([offset, ...maybe.map((each) => each.offset)].filter((each) => each !== null)).toContain(found);
    expect(found).toBeGreaterThanOrEqual(offset);
  }
}

async function history(seed: number): Promise<{ committed: number; crashes: number }> {
  const world = new BrokerWorld(seed, {
    transactionStateNumPartitions: 2,
    offsetsTopicNumPartitions: 2,
    transactionAbortIntervalMs: 40,
    logSegmentBytes: 3000,
    ...(seed % 5 === 0 ? { durability: "page-cache" as const } : {}),
  });
  const { random } = world;
  const told = new Map<string, Told>();
  let crashes = 0;
  await world.start();
  await create(world, PARTITIONS);
  for (const [key, keyType] of [
    ["x", 0],
    ["x", 1],
  ] as const)
    await world.ask(FindCoordinator, { key: "", keyType, coordinatorKeys: [key] }, 4);
  for (let life = 0; life < LIVES; life++) {
    for (let i = 0; i < CLIENTS; i++)
      void new TransactionalClient(aroundClient(world, `client-${i}`, life, told), {
        transactionalId: `client-${i}`,
        isNewProtocol: i !== 0,
        timeoutMs: TIMEOUT_MS,
        offsetsOf: TOPIC,
      }).run();
    for (let steps = 3 + random.int(12); steps > 0; steps--) {
      await world.clock.advance(random.fraction() * 40);
      if (random.chance(0.3)) checkSeen(told, await readCommitted(world, random.int(PARTITIONS)));
    }
    expect(world.fatal).toBeNull();
    // A kill loses nothing that was written; a power cut may, in page-cache mode, take back what was acknowledged.
    const how = seed % 5 === 0 ? ("kill" as const) : random.pick(["kill", "power", "power"] as const);
    world.crash(how);
    crashes++;
    await world.start();
  }
  await world.clock.advance(2000);
  await checkEnd(world, told);
  await world.stop();
  await world.start();
  await checkEnd(world, told);
  return { committed: [...told.values()].filter(({ state }) => state === "committed").length, crashes };
}

describe("transactions on a broker that crashes", () => {
  let committed = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
    test(`seed ${seed}`, async () => {
      committed += (await history(seed)).committed;
    });

  test("some were committed", () => expect(committed).toBeGreaterThan(SEEDS));
});
