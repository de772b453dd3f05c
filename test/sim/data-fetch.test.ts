/**
 * Fetch through the whole broker, in every version, held against what Kafka 4.4 answers: KafkaApis.handleFetchRequest, ReplicaManager,
 * FetchContext, DelayedFetch.
 */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../../src/protocol/errors.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/records.ts";
import { validateClientBatch } from "../../src/record/validate.ts";
import { BrokerWorld } from "./broker-world.ts";
import {
  batchOf,
  create,
  errorsOf,
  type FetchOptions,
  fetch,
  leadWith,
  partitionOf,
  partitionsOf,
  produce,
  put,
  resign,
  sendFetch,
  TOPIC,
  valuesOf,
  worldWithTopic,
} from "./data-requests.ts";

/** Fetches and measures how long that took. */
async function timed(world: BrokerWorld, o: FetchOptions, version?: number) {
  const startMs = world.clock.monotonicMs();
  const response = await fetch(world, o, version);
  return { response, tookMs: world.clock.monotonicMs() - startMs };
}

/** From now on, what is read of a partition takes 50 ms. */
function readSlowly(world: BrokerWorld, index: number): void {
  const { log } = partitionOf(world, index);
  const read = log.read.bind(log);
  log.read = async (...given) => {
    await new Promise<void>((resolve) => world.clock.schedule(50, resolve));
    return await read(...given);
  };
}

describe("fetch, version by version", () => {
  test("brings what is there, by name up to v12, by id from v13 on", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    await put(world, 0, "a");
    for (let version = 4; version <= 18; version++) {
      const byId = version >= 13;
      const response = await fetch(world, { offsets: { 0: 0 }, ...(byId ? { topicId } : {}) }, version);
      expect(response.responses, `v${version}`).toMatchObject([
        {
          topic: byId ? "" : TOPIC,
          topicId: byId ? topicId : ZERO_UUID,
          partitions: [
            {
              partitionIndex: 0,
              errorCode: 0,
              highWatermark: 1,
              lastStableOffset: 1,
              logStartOffset: version >= 5 ? 0 : -1,
              abortedTransactions: null,
              preferredReadReplica: -1,
              divergingEpoch: { epoch: -1, endOffset: -1 },
              currentLeader: { leaderId: -1, leaderEpoch: -1 },
            },
          ],
        },
      ]);
      expect(response).toMatchObject({ errorCode: 0, sessionId: 0, nodeEndpoints: [] });
      expect(valuesOf(response)).toEqual({ 0: ["a"] });
    }
  });

  test("keeps the request's order and groups only neighbours of one topic", async () => {
    const world = await worldWithTopic();
    const request = { maxWaitMs: 0, minBytes: 0, maxBytes: 1000, isolationLevel: 0, forgottenTopicsData: [] };
    const asked = (partition: number) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 });
    const topics = [
      { topic: TOPIC, topicId: ZERO_UUID, partitions: [asked(2), asked(0)] },
      { topic: "other", topicId: ZERO_UUID, partitions: [asked(0)] },
      { topic: TOPIC, topicId: ZERO_UUID, partitions: [asked(1), asked(2)] }, // 2 keeps its place
    ];
    const { responses } = await world.ask(
      (await import("../../src/protocol/messages/01-fetch.ts")).Fetch,
      { ...request, topics },
      12,
    );
    expect(responses.map(({ topic, partitions }) => [topic, ...partitions.map((p) => p.partitionIndex)])).toEqual([
      [TOPIC, 2, 0],
      ["other", 0],
      [TOPIC, 1],
    ]);
  });

  test("tells a broken disk as NOT_LEADER_OR_FOLLOWER up to v5", async () => {
    const world = await worldWithTopic();
    partitionOf(world, 0).log.offline = "a test";
    for (const [version, code] of [
      [4, 6],
      [5, 6],
      [6, 56],
      [12, 56],
    ] as const) {
      const response = await fetch(world, { offsets: { 0: 0 }, maxWaitMs: 10_000 }, version);
      expect(partitionsOf(response)).toMatchObject([{ errorCode: code, highWatermark: -1, lastStableOffset: -1 }]);
    }
  });

  test("lists aborted transactions for read_committed, and none for errors", async () => {
    const world = await worldWithTopic();
    const response = await fetch(world, { offsets: { 0: 0, 1: 9 }, isolationLevel: 1, maxWaitMs: 0 });
    expect(partitionsOf(response).map((p) => p.abortedTransactions)).toEqual([[], null]);
  });
});

describe("a fetch's leader epoch", () => {
  test("is held against the partition's; the leader is told from v16 on (KIP-951)", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    leadWith(partitionOf(world, 0), 3);
    const ask = async (currentLeaderEpoch: number, version: number) =>
      await fetch(world, { offsets: { 0: 0 }, currentLeaderEpoch, maxWaitMs: 0, ...(version >= 13 ? { topicId } : {}) }, version);
    expect(errorsOf(await ask(3, 12))).toEqual([[0, 0]]);
    expect(errorsOf(await ask(4, 12))).toEqual([[0, 75]]);
    expect(errorsOf(await ask(-7, 12))).toEqual([[0, 0]]);
    const unknown = { leaderId: -1, leaderEpoch: -1 };
    for (const version of [9, 12, 15]) {
      const response = await ask(2, version);
      expect(partitionsOf(response)).toMatchObject([{ errorCode: 74, highWatermark: -1, currentLeader: unknown }]);
      expect(response.nodeEndpoints).toEqual([]);
    }
    for (const version of [16, 18]) {
      const response = await ask(2, version);
      expect(partitionsOf(response)).toMatchObject([{ errorCode: 74, currentLeader: { leaderId: 0, leaderEpoch: 3 } }]);
      expect(response.nodeEndpoints).toEqual([{ nodeId: 0, host: "10.0.0.1", port: 9092, rack: null }]);
      expect(partitionsOf(await ask(4, version))).toMatchObject([{ errorCode: 75, currentLeader: unknown }]);
    }
  });

  test("does not matter to a broker that does not lead: it says who does", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    resign(partitionOf(world, 0));
    const response = await fetch(world, { offsets: { 0: 0 }, topicId }, 16);
    expect(partitionsOf(response)).toMatchObject([{ errorCode: 6, currentLeader: { leaderId: 0, leaderEpoch: 0 } }]);
    expect(response.nodeEndpoints).toHaveLength(1);
    expect(errorsOf(await fetch(world, { offsets: { 0: 0 }, topicId, currentLeaderEpoch: 1 }))).toEqual([[0, 75]]);
  });

  test("last fetched that ended before the fetch offset is told as diverging", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    const ask = async (fetchOffset: number, lastFetchedEpoch: number) =>
      partitionsOf(await fetch(world, { offsets: { 0: fetchOffset }, lastFetchedEpoch, maxWaitMs: 10_000 }))[0]!;
    expect(await ask(0, 0)).toMatchObject({ errorCode: 0, divergingEpoch: { epoch: -1, endOffset: -1 } });
    const { divergingEpoch, ...rest } = await ask(5, 0);
    expect(divergingEpoch).toEqual({ epoch: 0, endOffset: 1 });
    expect(rest).toMatchObject({ errorCode: 0, highWatermark: 1, logStartOffset: 0 });
    expect(rest.records).toHaveLength(0);
    expect(await ask(0, 2)).toMatchObject({ errorCode: 1, highWatermark: -1 });
  });
});

describe("a replica that fetches", () => {
  test("is not one of this partition's", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    const ask = async (version: number, currentLeaderEpoch: number) =>
      await fetch(world, { offsets: { 0: 0 }, replicaId: 2, currentLeaderEpoch, ...(version >= 13 ? { topicId } : {}) }, version);
    expect(errorsOf(await ask(11, -1))).toEqual([[0, 6]]);
    expect(errorsOf(await ask(12, 0))).toEqual([[0, 75]]);
    expect(errorsOf(await ask(15, 0))).toEqual([[0, 75]]);
    const refused = await ask(18, -1);
    expect(partitionsOf(refused)).toMatchObject([{ errorCode: 6, currentLeader: { leaderId: 0, leaderEpoch: 0 } }]);
    expect(refused.nodeEndpoints).toEqual([]); // replicas know the nodes
    const debugging = await fetch(world, { offsets: { 0: 0 }, replicaId: -2, maxWaitMs: 0 });
    expect(errorsOf(debugging)).toEqual([[0, 0]]);
  });
});

describe("when a fetch is answered", () => {
  test("what cannot be found does not hurry what can", async () => {
    const world = await worldWithTopic();
    const mixed = await timed(world, { offsets: { 0: 0, 8: 0 }, maxWaitMs: 300 });
    expect(errorsOf(mixed.response)).toEqual([
      [0, 0],
      [8, 3],
    ]);
    expect(mixed.tookMs).toBeGreaterThanOrEqual(300);
    expect((await timed(world, { offsets: { 8: 0 }, maxWaitMs: 300 })).tookMs).toBe(0);
    expect((await timed(world, { offsets: { 8: 0 }, session: [0, 0], maxWaitMs: 300 })).tookMs).toBe(0);
  });

  test("at once for a time or bytes of 0 and below, and for nothing asked", async () => {
    const world = await worldWithTopic();
    for (const limits of [
      { maxWaitMs: 0 },
      { maxWaitMs: -1 },
      { minBytes: 0 },
      { minBytes: -5 },
      { maxBytes: 0 },
      { maxBytes: -1 },
    ])
      expect((await timed(world, { offsets: { 0: 0 }, ...limits })).tookMs, JSON.stringify(limits)).toBe(0);
    expect(await timed(world, { offsets: {} })).toMatchObject({ tookMs: 0, response: { responses: [] } });
  });

  test("with no room at all, the first batch comes all the same", async () => {
    const world = await worldWithTopic();
    for (const index of [0, 1]) await put(world, index, "a");
    for (const limits of [{ maxBytes: 0 }, { maxBytes: -1 }, { partitionMaxBytes: 0 }, { partitionMaxBytes: -1 }])
      expect(valuesOf(await fetch(world, { offsets: { 0: 0, 1: 0 }, ...limits })), JSON.stringify(limits)).toEqual({
        0: ["a"],
        1: [],
      });
    const large = { maxBytes: 2 ** 31 - 1, partitionMaxBytes: 2 ** 31 - 1 };
    expect(valuesOf(await fetch(world, { offsets: { 0: 0, 1: 0 }, ...large }))).toEqual({ 0: ["a"], 1: ["a"] });
  });

  test("with what there is, if its own limits keep it from more", async () => {
    const world = await worldWithTopic();
    for (const index of [0, 0, 1]) await put(world, index, "x".repeat(100));
    const { length } = batchOf(world, "x".repeat(100));
    // Both partitions have more than fits. Kafka fills the rest with a part of a batch, and then has its minimum.
    const limits = { maxBytes: length + 50, minBytes: length + 50, maxWaitMs: 10_000 };
    const { response, tookMs } = await timed(world, { offsets: { 0: 0, 1: 0 }, ...limits });
    expect(tookMs).toBeLessThan(100);
    expect(valuesOf(response)).toMatchObject({ 1: [] });
    expect(valuesOf(response)[0]).toHaveLength(1);
  });

  test("between the high watermark and the log's end there is nothing, and beyond it is out of range", async () => {
    const world = await worldWithTopic();
    produce(world, 0, batchOf(world, "a")); // not on the disk yet
    const at = async (offset: number) => partitionsOf(await fetch(world, { offsets: { 0: offset }, maxWaitMs: 0 }))[0]!;
    for (const offset of [0, 1]) {
      const { records, ...rest } = await at(offset);
      expect(rest).toMatchObject({ errorCode: 0, highWatermark: 0 });
      expect(records).toHaveLength(0);
    }
    expect(await at(2)).toMatchObject({ errorCode: 1, highWatermark: -1, logStartOffset: -1 });
  });

  test("not before its time for what a reader of committed data may not see", async () => {
    const world = await worldWithTopic();
    const reader = sendFetch(world, { offsets: { 0: 0 }, isolationLevel: 1, maxWaitMs: 1000 });
    const other = sendFetch(world, { offsets: { 0: 0 }, maxWaitMs: 1000 });
    const records = [{ key: null, value: Buffer.from("open"), timestampMs: world.clock.nowMs() }];
    const batch = buildBatch({ records, producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true });
    partitionOf(world, 0).append(validateClientBatch(batch, world.broker.batchRules(partitionOf(world, 0), 12)));
    await world.clock.advance(500);
    expect(valuesOf(other.response)).toEqual({ 0: ["open"] });
    expect(reader.response).toBeNull();
    await world.clock.advance(500);
    expect(partitionsOf(reader.response)).toMatchObject([{ errorCode: 0, highWatermark: 1, lastStableOffset: 0 }]);
    expect(valuesOf(reader.response)).toEqual({ 0: [] });
  });

  test("for what came while another partition was read from the disk", async () => {
    for (const session of [undefined, [0, 0] as [number, number]]) {
      const world = await worldWithTopic();
      await put(world, 1, "old");
      readSlowly(world, 1);
      const minBytes = 2 * batchOf(world, "old").length;
      const waiting = sendFetch(world, {
        offsets: { 0: 0, 1: 0, 2: 0 },
        minBytes,
        maxWaitMs: 60_000,
        ...(session && { session }),
      });
      produce(world, 0, batchOf(world, "new"));
      await world.clock.advance(200);
      expect(valuesOf(waiting.response)).toEqual({ 0: ["new"], 1: ["old"], 2: [] });
    }
  });

  test("lets others have their turn when reading takes long", async () => {
    const world = await worldWithTopic();
    for (const index of [0, 1, 2]) await put(world, index, `${index}`);
    let passedMs = 0;
    const monotonicMs = world.clock.monotonicMs.bind(world.clock);
    world.clock.monotonicMs = () => monotonicMs() + passedMs;
    for (const index of [0, 1, 2]) {
      const { log } = partitionOf(world, index);
      const read = log.readStored.bind(log);
      log.readStored = (...given) => {
        passedMs += 3;
        return read(...given);
      };
    }
    const waiting = sendFetch(world, { offsets: { 0: 0, 1: 0, 2: 0 } });
    expect([waiting.response, passedMs]).toEqual([null, 6]);
    await world.clock.run(waiting.ended);
    expect(valuesOf(waiting.response)).toEqual({ 0: ["0"], 1: ["1"], 2: ["2"] });
  });

  test("with an error, if a partition closes while another is read from the disk", async () => {
    const world = await worldWithTopic();
    await put(world, 1, "old");
    readSlowly(world, 1);
    const waiting = sendFetch(world, { offsets: { 0: 0, 1: 0 }, minBytes: 1000, maxWaitMs: 60_000 });
    partitionOf(world, 0).close(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    await world.clock.advance(200);
    expect(errorsOf(waiting.response)).toEqual([
      [0, 3],
      [1, 0],
    ]);
  });
});
