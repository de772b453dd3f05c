/** The broker's data path on a simulated disk: what is acknowledged, what is shown, and when. */
import { describe, expect, test } from "bun:test";
import { ErrorCode } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { Fetch } from "../../src/protocol/messages/01-fetch.ts";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { OffsetForLeaderEpoch } from "../../src/protocol/messages/23-offset-for-leader-epoch.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";
import {
  batchOf,
  create,
  fetch,
  fetchRequest,
  produce,
  produceRequest,
  readAll,
  resultOf,
  sendFetch,
  TOPIC,
  valuesOf,
  worldWithTopic,
} from "./data-requests.ts";

describe("produce", () => {
  test("is answered, and shown, only when it is on the disk", async () => {
    const world = await worldWithTopic();
    const asked = produce(world, 0, batchOf(world, "a"));
    expect(asked.response).toBeNull();
    const early = await fetch(world, { offsets: { 0: 0 }, maxWaitMs: 0 });
    expect(early.responses[0]!.partitions[0]).toMatchObject({ errorCode: 0, highWatermark: 0 });
    expect(valuesOf(early)).toEqual({ 0: [] });
    await world.clock.run(asked.ended);
    expect(resultOf(asked.response)).toMatchObject({ errorCode: 0, baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0 });
    expect(valuesOf(await fetch(world, { offsets: { 0: 0 } }))).toEqual({ 0: ["a"] });
  });

  test("in page-cache mode is answered at once", async () => {
    const world = new BrokerWorld(1, { durability: "page-cache" });
    await world.start();
    await create(world, 1);
    expect(resultOf(produce(world, 0, batchOf(world, "a")).response).baseOffset).toBe(0);
  });

  test("pipelined batches get offsets in the order they came", async () => {
    const world = await worldWithTopic();
    const asked = ["a", "b", "c"].map((text) => produce(world, 1, batchOf(world, text)));
    await world.clock.run(Promise.all(asked.map((one) => one.ended)));
    expect(asked.map((one) => resultOf(one.response).baseOffset)).toEqual([0, 1, 2]);
    expect(valuesOf(await fetch(world, { offsets: { 1: 0 } }))).toEqual({ 1: ["a", "b", "c"] });
  });

  test("answers each fault with Kafka's code", async () => {
    const world = await worldWithTopic();
    const codeOf = async (index: number, batch: Buffer | null, acks = -1) =>
      resultOf(await world.ask(Produce, produceRequest(index, batch, acks), 12)).errorCode;
    expect(await codeOf(7, batchOf(world, "a"))).toBe(3);
    expect(await codeOf(0, batchOf(world, "a"), 2)).toBe(21);
    expect(await codeOf(0, null)).toBe(87);
    const damaged = batchOf(world, "abc");
    damaged[damaged.length - 2]! ^= 1;
    expect(await codeOf(0, damaged)).toBe(2);
    const unknownId = {
      acks: 1,
      timeoutMs: 1000,
      topicData: [{ topicId: `${"x".repeat(21)}A`, partitionData: [{ index: 0, records: null }] }],
    };
    expect(resultOf(await world.ask(Produce, unknownId, 13)).errorCode).toBe(100);
  });

  test("bounds what the batches of one request unpack to together", async () => {
    const world = new BrokerWorld(1, { maxDecompressedRequestBytes: 25_000 });
    await world.start();
    await create(world, 3);
    const zeros = (): Buffer =>
      buildBatch({
        records: [{ key: null, value: Buffer.alloc(10_000), timestampMs: world.clock.nowMs() }],
        compression: "gzip",
      });
    const partitionData = [0, 1, 2].map((index) => ({ index, records: zeros() }));
    const codesOf = async (data: typeof partitionData) =>
      (
        await world.ask(
          Produce,
          { acks: -1, timeoutMs: 1000, topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: data }] },
          12,
        )
      ).responses[0]!.partitionResponses.map(({ errorCode }) => errorCode);
    expect(await codesOf(partitionData)).toEqual([0, 0, ErrorCode.MESSAGE_TOO_LARGE]);
    expect(await codesOf([{ index: 2, records: zeros() }])).toEqual([0]);
  });

  test("with acks=0 is silent, and closes the connection on an error", async () => {
    const world = await worldWithTopic();
    expect(produce(world, 0, batchOf(world, "a"), 0)).toMatchObject({ silent: true, response: null, dropped: null });
    expect(produce(world, 9, batchOf(world, "a"), 0)).toMatchObject({
      silent: false,
      response: null,
      dropped: expect.any(String),
    });
  });

  test("a repeated idempotent batch has its first offset; a gap is refused; both across a power cut", async () => {
    const world = await worldWithTopic();
    const { producerId } = await world.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 0 });
    const send = async (sequence: number) =>
      resultOf(
        await world.ask(Produce, produceRequest(0, batchOf(world, `s${sequence}`, { producerId, baseSequence: sequence })), 12),
      );
    for (const sequence of [0, 1, 2]) expect((await send(sequence)).baseOffset).toBe(sequence);
    expect(await send(1)).toMatchObject({ errorCode: 0, baseOffset: 1 });
    expect((await send(5)).errorCode).toBe(45);
    world.crash("power");
    await world.start();
    expect(await send(2)).toMatchObject({ errorCode: 0, baseOffset: 2 });
    expect((await send(9)).errorCode).toBe(45);
    expect((await send(3)).baseOffset).toBe(3);
    const next = await world.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 0 });
    expect(next.producerId).toBeGreaterThan(producerId);
  });

  test("a full disk is KAFKA_STORAGE_ERROR; the broker goes on when there is room", async () => {
    const world = await worldWithTopic();
    expect(resultOf(await world.ask(Produce, produceRequest(0, batchOf(world, "a")), 12)).errorCode).toBe(0);
    world.disk.capacityBytes = world.disk.usedBytes();
    expect(resultOf(await world.ask(Produce, produceRequest(0, batchOf(world, "b")), 12)).errorCode).toBe(
      ErrorCode.KAFKA_STORAGE_ERROR,
    );
    expect(valuesOf(await fetch(world, { offsets: { 0: 0 } }))).toEqual({ 0: ["a"] });
    world.disk.capacityBytes = Number.POSITIVE_INFINITY;
    expect(resultOf(await world.ask(Produce, produceRequest(0, batchOf(world, "c")), 12)).baseOffset).toBe(1);
  });
});

describe("fetch", () => {
  test("waits for records, and is answered when they are durable", async () => {
    const world = await worldWithTopic();
    const waiting = sendFetch(world, { offsets: { 0: 0, 1: 0 }, maxWaitMs: 10_000 });
    await world.clock.advance(100);
    expect(waiting.response).toBeNull();
    produce(world, 1, batchOf(world, "late"));
    expect(waiting.response).toBeNull();
    await world.clock.advance(50);
    expect(valuesOf(waiting.response)).toEqual({ 0: [], 1: ["late"] });
  });

  test("waits for minBytes over all partitions, but not longer than maxWaitMs", async () => {
    const world = await worldWithTopic();
    const bytes = batchOf(world, "x").length;
    const waiting = sendFetch(world, { offsets: { 0: 0, 1: 0 }, maxWaitMs: 10_000, minBytes: 2 * bytes });
    produce(world, 0, batchOf(world, "x"));
    await world.clock.advance(100);
    expect(waiting.response).toBeNull();
    produce(world, 1, batchOf(world, "y"));
    await world.clock.advance(100);
    expect(valuesOf(waiting.response)).toEqual({ 0: ["x"], 1: ["y"] });
    const startMs = world.clock.monotonicMs();
    expect(valuesOf(await fetch(world, { offsets: { 0: 1 }, maxWaitMs: 700 }))).toEqual({ 0: [] });
    expect(world.clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(700);
  });

  test("brings at least one whole batch, and no second one beyond its limits", async () => {
    const world = await worldWithTopic();
    for (const text of ["first", "second"]) await world.ask(Produce, produceRequest(0, batchOf(world, text)), 12);
    await world.ask(Produce, produceRequest(1, batchOf(world, "other")), 12);
    expect(valuesOf(await fetch(world, { offsets: { 0: 0, 1: 0 }, maxBytes: 1 }))).toEqual({ 0: ["first"], 1: [] });
    expect(valuesOf(await fetch(world, { offsets: { 0: 0, 1: 0 }, partitionMaxBytes: 10 }))).toEqual({ 0: ["first"], 1: [] });
  });

  test("brings less when memory for answers is scarce, but gets on", async () => {
    const world = new BrokerWorld(1, { logSegmentBytes: 1_000_000 });
    await world.start();
    await create(world, 1);
    const text = "x".repeat(50_000);
    for (let i = 0; i < 3; i++) await world.ask(Produce, produceRequest(0, batchOf(world, text)), 12);
    world.answerRoomBytes = 0;
    expect(valuesOf(await fetch(world, { offsets: { 0: 0 }, partitionMaxBytes: 1_000_000 }))).toEqual({ 0: [text] });
    world.answerRoomBytes = 120_000;
    expect(valuesOf(await fetch(world, { offsets: { 0: 0 }, partitionMaxBytes: 1_000_000 }))).toEqual({ 0: [text, text] });
  });

  test("answers errors at once, with the high watermark unknown", async () => {
    const world = await worldWithTopic();
    const startMs = world.clock.monotonicMs();
    const { responses } = await fetch(world, { offsets: { 0: 5, 8: 0 }, maxWaitMs: 10_000 });
    expect(world.clock.monotonicMs()).toBe(startMs);
    expect(responses[0]!.partitions.map((p) => [p.errorCode, p.highWatermark, p.records?.length])).toEqual([
      [ErrorCode.OFFSET_OUT_OF_RANGE, -1, 0],
      [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, 0],
    ]);
  });

  test("a deleted topic ends the wait", async () => {
    const world = await worldWithTopic();
    const waiting = sendFetch(world, { offsets: { 0: 0 }, maxWaitMs: 60_000 });
    await world.ask(DeleteTopics, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });
    expect(waiting.response!.responses[0]!.partitions[0]!.errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  });
});

describe("fetch sessions (KIP-227)", () => {
  test("tell only what changed", async () => {
    const world = await worldWithTopic();
    const first = await fetch(world, { offsets: { 0: 0, 1: 0, 2: 0 }, session: [0, 0], maxWaitMs: 0 });
    expect(first.sessionId).toBeGreaterThan(0);
    expect(Object.keys(valuesOf(first))).toEqual(["0", "1", "2"]);
    const id = first.sessionId;
    const idle = await fetch(world, { offsets: {}, session: [id, 1], maxWaitMs: 10 });
    expect(idle).toMatchObject({ errorCode: 0, sessionId: id, responses: [] });
    const waiting = sendFetch(world, { offsets: {}, session: [id, 2], maxWaitMs: 10_000 });
    produce(world, 2, batchOf(world, "new"));
    await world.clock.advance(50);
    expect(valuesOf(waiting.response)).toEqual({ 2: ["new"] });
    // The client did not move its offset: the records come again.
    expect(valuesOf(await fetch(world, { offsets: {}, session: [id, 3] }))).toEqual({ 2: ["new"] });
    expect(valuesOf(await fetch(world, { offsets: { 2: 1 }, session: [id, 4], maxWaitMs: 10 }))).toEqual({});
  });

  test("serve in turn: what returned data goes to the end", async () => {
    const world = await worldWithTopic();
    for (const index of [0, 1])
      for (const text of ["a", "b"]) await world.ask(Produce, produceRequest(index, batchOf(world, text)), 12);
    const small = { maxBytes: 1 };
    const first = await fetch(world, { ...small, offsets: { 0: 0, 1: 0 }, session: [0, 0] });
    expect(valuesOf(first)).toEqual({ 0: ["a"], 1: [] });
    const second = await fetch(world, { ...small, offsets: { 0: 1 }, session: [first.sessionId, 1] });
    expect(valuesOf(second)).toEqual({ 1: ["a"] });
    const third = await fetch(world, { ...small, offsets: { 1: 1 }, session: [first.sessionId, 2] });
    expect(valuesOf(third)).toEqual({ 0: ["b"] });
  });

  test("refuse unknown ids, wrong epochs and a mix of names and ids", async () => {
    const world = await worldWithTopic();
    const { sessionId } = await fetch(world, { offsets: { 0: 0 }, session: [0, 0], maxWaitMs: 0 });
    const codeOf = async (session: [number, number]) => (await fetch(world, { offsets: {}, session })).errorCode;
    expect(await codeOf([sessionId + 1, 1])).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
    expect(await codeOf([sessionId, 5])).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH);
    const { topics: _, ...rest } = fetchRequest({ offsets: {}, session: [sessionId, 1] });
    const mixed = await world.ask(Fetch, { ...rest, topics: [] }, 13);
    expect(mixed.errorCode).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR);
  });

  test("end when they are empty, and when the client says so", async () => {
    const world = await worldWithTopic();
    const open = async () => (await fetch(world, { offsets: { 0: 0 }, session: [0, 0], maxWaitMs: 0 })).sessionId;
    const emptied = await fetch(world, { offsets: {}, session: [await open(), 1], forget: [0] });
    expect(emptied).toMatchObject({ errorCode: 0, sessionId: 0, responses: [] });
    await fetch(world, { offsets: {}, session: [await open(), -1], maxWaitMs: 0 });
    expect(world.broker.fetchSessions.size).toBe(0);
  });

  test("are bounded: beyond the bound a client goes on without one", async () => {
    const world = new BrokerWorld(1, { maxFetchSessions: 2, fetchSessionEvictionMs: 1000 });
    await world.start();
    await create(world, 3);
    const open = async () => (await fetch(world, { offsets: { 0: 0 }, session: [0, 0], maxWaitMs: 0 })).sessionId;
    expect([(await open()) > 0, (await open()) > 0, await open()]).toEqual([true, true, 0]);
    await world.clock.advance(1500);
    expect(await open()).toBeGreaterThan(0);
    expect(world.broker.fetchSessions.size).toBe(2);
  });

  test("bound the partitions that all of them follow", async () => {
    const world = new BrokerWorld(1, { maxFetchSessionPartitions: 4 });
    await world.start();
    await create(world, 3);
    const { sessionId } = await fetch(world, { offsets: { 0: 0, 1: 0 }, session: [0, 0], maxWaitMs: 0 });
    expect(sessionId).toBeGreaterThan(0);
    expect((await fetch(world, { offsets: { 0: 0, 1: 0, 2: 0 }, session: [0, 0], maxWaitMs: 0 })).sessionId).toBe(0);
    await fetch(world, { offsets: {}, session: [sessionId, 1], forget: [0, 1] });
    expect((await fetch(world, { offsets: { 0: 0, 1: 0, 2: 0 }, session: [0, 0], maxWaitMs: 0 })).sessionId).toBeGreaterThan(0);
  });
});

describe("offsets", () => {
  test("ListOffsets finds the ends and the first record at or after a time", async () => {
    const world = await worldWithTopic();
    const times: number[] = [];
    for (const text of ["a", "b", "c"]) {
      times.push(world.clock.nowMs());
      await world.ask(Produce, produceRequest(0, batchOf(world, text)), 12);
      await world.clock.advance(1000);
    }
    const find = async (timestamp: number, version = 11) => {
      const topics = [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp }] }];
      const {
        errorCode,
        offset,
        timestamp: found,
      } = (await world.ask(ListOffsets, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 1000 }, version)).topics[0]!
        .partitions[0]!;
      return [errorCode, offset, found];
    };
    expect(await find(-1)).toEqual([0, 3, -1]);
    expect(await find(-2)).toEqual([0, 0, -1]);
    expect(await find(-3)).toEqual([0, 2, times[2]!]);
    expect(await find(-4)).toEqual([0, 0, -1]);
    expect(await find(-5)).toEqual([0, -1, -1]);
    expect(await find(times[1]!)).toEqual([0, 1, times[1]!]);
    expect(await find(times[1]! + 1)).toEqual([0, 2, times[2]!]);
    expect(await find(times[2]! + 1)).toEqual([0, -1, -1]);
    expect(await find(-3, 6)).toEqual([35, -1, -1]);
    expect(await find(-9)).toEqual([35, -1, -1]);
  });

  test("OffsetForLeaderEpoch knows where the epoch ends", async () => {
    const world = await worldWithTopic();
    await world.ask(Produce, produceRequest(0, batchOf(world, "a")), 12);
    const find = async (leaderEpoch: number, currentLeaderEpoch = -1) => {
      const topics = [{ topic: TOPIC, partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] }];
      const {
        errorCode,
        leaderEpoch: epoch,
        endOffset,
      } = (await world.ask(OffsetForLeaderEpoch, { topics })).topics[0]!.partitions[0]!;
      return [errorCode, epoch, endOffset];
    };
    expect(await find(0)).toEqual([0, 0, 1]);
    expect(await find(4)).toEqual([0, -1, -1]);
    expect((await find(0, 9))[0]).toBe(ErrorCode.UNKNOWN_LEADER_EPOCH);
  });
});

describe("power cuts under load", () => {
  const seeds = Number(process.env.SIM_SEEDS ?? 60);
  test(`lose nothing that was acknowledged (${seeds} seeds)`, async () => {
    for (let seed = 1; seed <= seeds; seed++) await surviveCuts(seed);
  }, 120_000);
});

describe("deleting a topic", () => {
  test("survives crashes at any moment: no old record, no directory left behind", async () => {
    for (let seed = 1; seed <= 60; seed++) await deleteAndCrash(seed);
  }, 60_000);
});

async function deleteAndCrash(seed: number): Promise<void> {
  const world = await worldWithTopic(seed);
  for (const index of [0, 1, 2]) await world.ask(Produce, produceRequest(index, batchOf(world, "old")), 12);
  const deletion = world.send(DeleteTopics, 6, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });
  await world.clock.advance(world.random.fraction() * 12);
  const acknowledged = deletion.response !== null;
  world.crash(world.random.pick(["kill", "power"]));
  await world.start();
  const where = `seed ${seed}, ${acknowledged ? "" : "not "}acknowledged`;
  const survived = world.broker.image.topicByName(TOPIC) !== undefined;
  if (acknowledged) expect(survived, where).toBeFalse();
  if (survived) for (const index of [0, 1, 2]) expect(await readAll(world, index), where).toEqual(["old"]);
  else {
    await create(world, 3);
    for (const index of [0, 1, 2]) expect(await readAll(world, index), where).toEqual([]);
    await world.ask(Produce, produceRequest(1, batchOf(world, "new")), 12);
    await world.clock.advance(1000);
    const names = world.disk
      .list("/data")!
      .filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => name);
    expect(names, where).toEqual(["__cluster_metadata-0", `${TOPIC}-1`]);
    expect(await readAll(world, 1), where).toEqual(["new"]);
  }
  expect(world.fatal, where).toBeNull();
}

/** Produces at random to all partitions, cuts the power at random, and compares what can be read with what was acknowledged and sent. */
async function surviveCuts(seed: number): Promise<void> {
  const world = await worldWithTopic(seed);
  const sent: string[][] = [[], [], []];
  const acknowledged: string[][] = [[], [], []];
  for (let cut = 0; cut < 3; cut++) {
    const steps = 5 + world.random.int(40);
    for (let i = 0; i < steps; i++) {
      const index = world.random.int(3);
      const text = `${cut}.${i} ${"x".repeat(world.random.int(200))}`;
      const asked = produce(world, index, batchOf(world, text));
      sent[index]!.push(text);
      const life = world.lives;
      asked.ended.then(() => {
        if (life === world.lives && resultOf(asked.response).errorCode === 0) acknowledged[index]!.push(text);
      });
      if (world.random.chance(0.3)) await world.clock.advance(world.random.fraction() * 6);
    }
    const how = world.random.pick(["power", "power", "kill", "clean"] as const);
    if (how === "clean") await world.stop();
    else world.crash(how);
    await world.start();
    for (const [index, texts] of acknowledged.entries()) {
      const found = await readAll(world, index);
      const where = `seed ${seed}, cut ${cut}, partition ${index}`;
      expect(found.length, where).toBeGreaterThanOrEqual(texts.length);
      expect(found.slice(0, texts.length), where).toEqual(texts);
      expect(sent[index]!.slice(0, found.length), where).toEqual(found);
      sent[index] = [...found];
      acknowledged[index] = [...found];
    }
  }
  expect(world.fatal).toBeNull();
}
