/** Fetch sessions (KIP-227) through the whole broker where it gets difficult: topics that go and come, two connections, bounds. Source: FetchContext, FetchManager, FetchSessionCacheShard. */
import { describe, expect, test } from "bun:test";
import { FetchSessions, fetchKind } from "../../src/broker/fetch-sessions.ts";
import { handlers } from "../../src/handlers/index.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { BrokerWorld } from "./broker-world.ts";
import {
  batchOf,
  create,
  errorsOf,
  type FetchOptions,
  fetch,
  partitionOf,
  partitionsOf,
  produce,
  put,
  remove,
  sendFetch,
  valuesOf,
  worldWithTopic,
} from "./data-requests.ts";
import { SeededRandom } from "./seeded-random.ts";

async function emptyWorld(config: ConstructorParameters<typeof BrokerWorld>[1] = {}): Promise<BrokerWorld> {
  const world = new BrokerWorld(1, config);
  await world.start();
  return world;
}

/** Opens a session; gives its id. */
const open = async (world: BrokerWorld, o: FetchOptions): Promise<number> =>
  (await fetch(world, { maxWaitMs: 0, session: [0, 0], ...o })).sessionId;

describe("a session by topic id", () => {
  test("tells that its topic is gone, and that its name is another topic's now", async () => {
    const world = await emptyWorld();
    const topicId = await create(world, 1);
    const id = await open(world, { offsets: { 0: 0 }, topicId });
    const waiting = sendFetch(world, { offsets: {}, topicId, session: [id, 1], maxWaitMs: 60_000 });
    await remove(world);
    expect(errorsOf(waiting.response)).toEqual([[0, 3]]);
    expect(errorsOf(await fetch(world, { offsets: {}, topicId, session: [id, 2] }))).toEqual([[0, 3]]);
    const next = await create(world, 1);
    expect(next).not.toBe(topicId);
    expect(errorsOf(await fetch(world, { offsets: { 0: 0 }, topicId, session: [id, 3] }))).toEqual([[0, 103]]);
    // Who never knew the id's name cannot be told more.
    expect(errorsOf(await fetch(world, { offsets: { 0: 0 }, topicId }))).toEqual([[0, 100]]);
    const renewed = await fetch(world, { offsets: { 0: 0 }, topicId: next, forget: [], session: [id, 4], maxWaitMs: 0 });
    expect(renewed.responses.map((topic) => [topic.topicId, topic.partitions[0]!.errorCode])).toEqual([
      [topicId, 103],
      [next, 0],
    ]);
  });

  test("tells an unknown id as that, a missing partition as unknown", async () => {
    const world = await emptyWorld();
    const topicId = await create(world, 1);
    const unknown = `${"x".repeat(21)}A`;
    expect(errorsOf(await fetch(world, { offsets: { 0: 0 }, topicId: unknown, session: [0, 0] }))).toEqual([[0, 100]]);
    expect(errorsOf(await fetch(world, { offsets: { 4: 0 }, topicId }))).toEqual([[4, 3]]);
  });
});

describe("a session by topic name", () => {
  test("finds a topic that comes later, and goes on with one that is made anew", async () => {
    const world = await emptyWorld();
    const first = await fetch(world, { offsets: { 0: 0 }, session: [0, 0] });
    expect(errorsOf(first)).toEqual([[0, 3]]);
    const next = (epoch: number, o: Partial<FetchOptions> = {}) =>
      fetch(world, { offsets: {}, session: [first.sessionId, epoch], maxWaitMs: 10, ...o });
    expect(errorsOf(await next(1))).toEqual([[0, 3]]);
    await create(world, 1);
    expect(errorsOf(await next(2))).toEqual([[0, 0]]); // the error went away, so it is told again
    expect(partitionsOf(await next(3))).toEqual([]);
    await put(world, 0, "old");
    expect(valuesOf(await next(4))).toEqual({ 0: ["old"] });
    await remove(world);
    expect(errorsOf(await next(5, { offsets: { 0: 1 } }))).toEqual([[0, 3]]);
    await create(world, 1);
    expect(errorsOf(await next(6))).toEqual([[0, 1]]); // no such offset in the new one
    expect(errorsOf(await next(7, { offsets: { 0: 0 } }))).toEqual([[0, 0]]);
    const waiting = sendFetch(world, { offsets: {}, session: [first.sessionId, 8], maxWaitMs: 60_000 });
    produce(world, 0, batchOf(world, "new"));
    await world.clock.advance(50);
    expect(valuesOf(waiting.response)).toEqual({ 0: ["new"] });
  });
});

describe("a session that two connections use", () => {
  test("is the newer request's: the older gets INVALID_FETCH_SESSION_EPOCH, and the newer misses nothing", async () => {
    const world = await worldWithTopic();
    const id = await open(world, { offsets: { 0: 0 } });
    const older = sendFetch(world, { offsets: {}, session: [id, 1], maxWaitMs: 1000 });
    const newer = sendFetch(world, { offsets: {}, session: [id, 2], maxWaitMs: 60_000 });
    await world.clock.advance(2000);
    expect(older.response).toMatchObject({ errorCode: 71, sessionId: id, responses: [] });
    expect(newer.response).toBeNull();
    produce(world, 0, batchOf(world, "a"));
    await world.clock.advance(50);
    expect(valuesOf(newer.response)).toEqual({ 0: ["a"] });
  });

  test("and that another one closes meanwhile: the fetch ends, the next one is told", async () => {
    const world = await worldWithTopic();
    const id = await open(world, { offsets: { 0: 0 } });
    const waiting = sendFetch(world, { offsets: {}, session: [id, 1], maxWaitMs: 1000 });
    expect((await fetch(world, { offsets: {}, session: [id, -1] })).sessionId).toBe(0);
    await world.clock.advance(1000);
    expect(waiting.response).toMatchObject({ errorCode: 0, responses: [] });
    expect((await fetch(world, { offsets: {}, session: [id, 2] })).errorCode).toBe(70);
    expect(watchersOf(world)).toBe(0);
  });

  test("while one reads from the disk", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    const id = await open(world, { offsets: { 0: 1, 1: 0 } });
    const { log } = partitionOf(world, 0);
    const read = log.read.bind(log);
    log.read = async (...given) => {
      await new Promise<void>((resolve) => world.clock.schedule(50, resolve));
      return await read(...given);
    };
    const older = sendFetch(world, { offsets: { 0: 0 }, session: [id, 1], minBytes: 1000, maxWaitMs: 1000 });
    const newer = sendFetch(world, { offsets: {}, session: [id, 2], minBytes: 1, maxWaitMs: 1000 });
    expect(older.response).toMatchObject({ errorCode: 71 });
    await world.clock.advance(200);
    expect(valuesOf(newer.response)).toEqual({ 0: ["a"] });
  });
});

/** How many watch the topic's first partition. */
const watchersOf = (world: BrokerWorld): number => (partitionOf(world, 0) as unknown as { watchers: Set<unknown> }).watchers.size;

describe("a session", () => {
  test("starts anew in place of another, and leaves nothing behind", async () => {
    const world = await worldWithTopic();
    const id = await open(world, { offsets: { 0: 0, 1: 0 } });
    const next = await fetch(world, { offsets: { 0: 0 }, session: [id, 0], maxWaitMs: 0 });
    expect(next.sessionId).not.toBe(id);
    expect((await fetch(world, { offsets: {}, session: [id, 1] })).errorCode).toBe(70);
    expect(world.broker.fetchSessions.size).toBe(1);
    expect(watchersOf(world)).toBe(1);
    await fetch(world, { offsets: {}, session: [next.sessionId, -1] });
    expect(watchersOf(world)).toBe(0);
  });

  test("that is emptied still answers what its request named", async () => {
    const world = await worldWithTopic();
    await put(world, 1, "a");
    const id = await open(world, { offsets: { 0: 0 } });
    const last = await fetch(world, { offsets: { 1: 0 }, forget: [0, 1], session: [id, 1], maxWaitMs: 0 });
    expect(last.sessionId).toBe(0);
    expect(valuesOf(last)).toEqual({ 1: ["a"] });
    expect(world.broker.fetchSessions.size).toBe(0);
  });

  test("tells only what it follows, in every version that has sessions", async () => {
    const world = await emptyWorld();
    const topicId = await create(world, 3);
    for (let version = 7; version <= 18; version++) {
      const by = version >= 13 ? { topicId } : {};
      const ask = (o: FetchOptions) => fetch(world, { ...by, maxWaitMs: 0, ...o }, version);
      const end = version - 7; // so many records each partition has by now
      const { sessionId } = await ask({ offsets: { 0: end, 1: end, 2: end }, session: [0, 0] });
      expect(sessionId, `v${version}`).toBeGreaterThan(0);
      const none = await ask({ offsets: {}, forget: [1], session: [sessionId, 1] });
      expect(none).toMatchObject({ errorCode: 0, sessionId, responses: [] });
      for (const index of [0, 1, 2]) await put(world, index, `v${version}`);
      const changed = await ask({ offsets: {}, session: [sessionId, 2] });
      expect(
        partitionsOf(changed).map((p) => p.partitionIndex),
        `v${version}`,
      ).toEqual([0, 2]);
      const back = await ask({ offsets: { 1: end }, session: [sessionId, 3] });
      expect(
        partitionsOf(back)
          .map((p) => p.partitionIndex)
          .sort(),
        `v${version}`,
      ).toEqual([0, 1, 2]);
      await ask({ offsets: {}, session: [sessionId, -1] });
    }
    expect(world.broker.fetchSessions.size).toBe(0);
  });

  test("that grows beyond what all may follow is gone, and its room is free", async () => {
    const world = await emptyWorld({ maxFetchSessionPartitions: 3 });
    await create(world, 4);
    const id = await open(world, { offsets: { 0: 0, 1: 0 } });
    expect((await fetch(world, { offsets: { 2: 0, 3: 0 }, session: [id, 1] })).errorCode).toBe(70);
    expect(world.broker.fetchSessions.size).toBe(0);
    expect(watchersOf(world)).toBe(0);
    for (let i = 0; i < 3; i++) {
      const again = await open(world, { offsets: { 0: 0, 1: 0, 2: 0 } });
      expect(again).toBeGreaterThan(0);
      await fetch(world, { offsets: {}, session: [again, -1] });
    }
  });

  test("makes place for a larger one once it is not new, even if it is in use", async () => {
    const world = await emptyWorld({ maxFetchSessions: 2, fetchSessionEvictionMs: 1000 });
    await create(world, 3);
    const small = await open(world, { offsets: { 0: 0 } });
    const large = await open(world, { offsets: { 0: 0, 1: 0, 2: 0 } });
    const medium = { offsets: { 0: 0, 1: 0 } };
    expect(await open(world, medium)).toBe(0); // both are new
    await world.clock.advance(600);
    for (const id of [small, large]) await fetch(world, { offsets: {}, session: [id, 1], maxWaitMs: 0 });
    await world.clock.advance(600);
    expect(await open(world, { offsets: { 0: 0 } })).toBe(0); // no larger than the smallest
    expect(await open(world, medium)).toBeGreaterThan(0);
    expect((await fetch(world, { offsets: {}, session: [small, 2], maxWaitMs: 0 })).errorCode).toBe(70);
    expect((await fetch(world, { offsets: {}, session: [large, 2], maxWaitMs: 0 })).errorCode).toBe(0);
  });

  test("whose client does not ask any more costs its partitions nothing; if it does, it missed nothing", async () => {
    const world = await worldWithTopic();
    const id = await open(world, { offsets: { 0: 0, 1: 0 } });
    await put(world, 0, "a");
    expect(watchersOf(world)).toBe(1);
    await put(world, 0, "b");
    await put(world, 0, "c");
    expect(watchersOf(world)).toBe(0);
    expect(valuesOf(await fetch(world, { offsets: {}, session: [id, 1] }))).toEqual({ 0: ["a", "b", "c"] });
    const waiting = sendFetch(world, { offsets: { 0: 3 }, session: [id, 2], maxWaitMs: 60_000 });
    produce(world, 0, batchOf(world, "d"));
    await world.clock.advance(50);
    expect(valuesOf(waiting.response)).toEqual({ 0: ["d"] });
    await put(world, 0, "e");
    await put(world, 0, "f");
    await remove(world);
    expect(errorsOf(await fetch(world, { offsets: {}, session: [id, 3] }))).toEqual([
      [0, 3],
      [1, 3],
    ]);
  });

  test("holds no records while its fetch waits", async () => {
    const world = await worldWithTopic();
    await put(world, 0, "a");
    for (const session of [
      [0, -1],
      [0, 0],
    ] as [number, number][]) {
      const minBytes = 2 * batchOf(world, "a").length;
      const waiting = sendFetch(world, { offsets: { 0: 0, 1: 0 }, minBytes, maxWaitMs: 1000, session });
      const [target] = (partitionOf(world, 0) as unknown as { watchers: Set<{ listener: { run: { results: unknown[] } } }> })
        .watchers;
      expect(target!.listener.run.results).toEqual([]);
      await world.clock.advance(1000);
      await world.clock.run(waiting.ended);
      expect(valuesOf(waiting.response)).toEqual({ 0: ["a"], 1: [] });
    }
  });
});

describe("session epochs", () => {
  test("0 begins, -1 ends, all others continue", () => {
    expect([0, -1, 1, 2_147_483_647, -2].map(fetchKind)).toEqual([
      "full",
      "sessionless",
      "incremental",
      "incremental",
      "incremental",
    ]);
  });

  test("go on with 1 behind the last", () => {
    const sessions = new FetchSessions({ maxSessions: 1, evictionMs: 1000, maxTargets: 10 }, new SeededRandom(1));
    const session = sessions.create(1, false, 0)!;
    session.epoch = 2_147_483_647;
    expect(sessions.resume(session.id, 2_147_483_647, false, 0).epoch).toBe(1);
    expect(sessions.resume(session.id, 1, false, 0).epoch).toBe(2);
    expect(() => sessions.resume(session.id, 1, false, 0)).toThrow();
  });
});

describe("an error of the whole fetch", () => {
  test("stands at every partition where clients look for it there", () => {
    const fetchHandler = handlers.find(({ api }) => api.key === 1)!;
    const call = (version: number) =>
      ({ version, request: { sessionId: 5, topics: [{ topic: "t", topicId: "", partitions: [{ partition: 3 }] }] } }) as never;
    const failed = { partitionIndex: 3, errorCode: -1, highWatermark: -1 };
    const onError = (version: number, error: "UNKNOWN_SERVER_ERROR" | "FETCH_SESSION_ID_NOT_FOUND") =>
      fetchHandler.onError(new KafkaError(error), call(version));
    expect(onError(6, "UNKNOWN_SERVER_ERROR")).toMatchObject({
      errorCode: -1,
      responses: [{ topic: "t", partitions: [failed] }],
    });
    expect(onError(13, "UNKNOWN_SERVER_ERROR")).toMatchObject({ errorCode: -1, sessionId: 5, responses: [] });
    expect(onError(12, "FETCH_SESSION_ID_NOT_FOUND")).toMatchObject({ errorCode: 70, sessionId: 0, responses: [] });
  });
});
