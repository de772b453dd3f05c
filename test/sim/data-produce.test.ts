/** Produce and InitProducerId through the whole broker, held against what Kafka 4.4 answers: KafkaApis.handleProduceRequest, ReplicaManager.appendToLocalLog, LogValidator. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { type RequestInput, ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";
import {
  batchOf,
  create,
  partitionOf,
  produce,
  produceRequest,
  readAll,
  remove,
  resign,
  resultOf,
  TOPIC,
  worldWithTopic,
} from "./data-requests.ts";

async function worldWith(configs: Record<string, string>): Promise<BrokerWorld> {
  const world = new BrokerWorld(1);
  await world.start();
  await create(world, 2, configs);
  return world;
}

const ask = async (world: BrokerWorld, request: RequestInput<typeof Produce>, version = 12) =>
  await world.ask(Produce, request, version);

/** A batch with one record of this time. */
const batchAt = (timestampMs: number, text = "x"): Buffer =>
  buildBatch({ records: [{ key: null, value: Buffer.from(text), timestampMs }] });

const sequenced = (world: BrokerWorld, baseSequence: number, o: { producerEpoch?: number; isTransactional?: boolean } = {}) =>
  buildBatch({
    records: [{ key: null, value: Buffer.from(`s${baseSequence}`), timestampMs: world.clock.nowMs() }],
    producerId: 7,
    producerEpoch: 0,
    baseSequence,
    ...o,
  });

const OK = { errorCode: 0, baseOffset: 0, logAppendTimeMs: -1, logStartOffset: 0, recordErrors: [], errorMessage: null };
const refused = (errorCode: number) => ({ ...OK, errorCode, baseOffset: -1, logStartOffset: -1 });

describe("produce, version by version", () => {
  test("answers what each version can hold", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    for (let version = 3; version <= 13; version++) {
      const byId = version === 13;
      const partitionData = [{ index: 0, records: batchOf(world, "a") }];
      const topicData = [{ name: byId ? "" : TOPIC, topicId: byId ? topicId : ZERO_UUID, partitionData }];
      const { responses } = await ask(world, { acks: 1, timeoutMs: 1000, topicData }, version);
      expect(responses, `v${version}`).toMatchObject([
        {
          name: byId ? "" : TOPIC,
          topicId: byId ? topicId : ZERO_UUID,
          partitionResponses: [{ ...OK, index: 0, baseOffset: version - 3, logStartOffset: version >= 5 ? 0 : -1 }],
        },
      ]);
    }
  });

  test("by id: unknown ids and missing partitions", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    const topicId = await create(world, 1);
    const code = async (id: string, index: number) => {
      const topicData = [{ topicId: id, partitionData: [{ index, records: batchOf(world, "a") }] }];
      return resultOf(await ask(world, { acks: -1, timeoutMs: 1000, topicData }, 13)).errorCode;
    };
    expect(await code(topicId, 0)).toBe(0);
    expect(await code(topicId, 5)).toBe(3);
    expect(await code(`${"x".repeat(21)}A`, 0)).toBe(100);
    expect(await code(ZERO_UUID, 0)).toBe(100);
    await remove(world);
    expect(await code(topicId, 0)).toBe(100);
  });

  test("a broken disk is KAFKA_STORAGE_ERROR in all of them", async () => {
    const world = await worldWithTopic();
    partitionOf(world, 0).log.offline = "a test";
    for (const version of [3, 4, 12])
      expect(resultOf(await ask(world, produceRequest(0, batchOf(world, "a")), version))).toMatchObject(refused(56));
  });
});

describe("a partition that another broker leads", () => {
  test("is NOT_LEADER_OR_FOLLOWER, and from v10 on it is said who leads (KIP-951)", async () => {
    const world = await worldWithTopic();
    resign(partitionOf(world, 0));
    const nobody = { leaderId: -1, leaderEpoch: -1 };
    for (const version of [3, 9]) {
      const response = await ask(world, produceRequest(0, batchOf(world, "a")), version);
      expect(resultOf(response)).toMatchObject({ ...refused(6), currentLeader: nobody });
      expect(response.nodeEndpoints).toEqual([]);
    }
    const response = await ask(world, produceRequest(0, batchOf(world, "a")), 10);
    expect(resultOf(response)).toMatchObject({ ...refused(6), currentLeader: { leaderId: 0, leaderEpoch: 0 } });
    expect(response.nodeEndpoints).toEqual([{ nodeId: 0, host: "10.0.0.1", port: 9092, rack: null }]);
    const other = await ask(world, produceRequest(1, batchOf(world, "a")), 10);
    expect(resultOf(other)).toMatchObject({ ...OK, currentLeader: nobody });
    expect(other.nodeEndpoints).toEqual([]);
  });
});

describe("what a produced partition is told", () => {
  test("LogAppendTime: the broker's time, and the same again for a repeated batch", async () => {
    const world = await worldWith({ "message.timestamp.type": "LogAppendTime" });
    const startMs = world.clock.nowMs();
    const first = resultOf(await ask(world, produceRequest(0, sequenced(world, 0))));
    expect(first).toMatchObject({ ...OK, logAppendTimeMs: startMs });
    await world.clock.advance(1000);
    expect(resultOf(await ask(world, produceRequest(0, sequenced(world, 0))))).toMatchObject({ ...OK, logAppendTimeMs: startMs });
  });

  test("CreateTime: no append time, but a repeated batch shows its largest timestamp", async () => {
    const world = await worldWithTopic();
    const startMs = world.clock.nowMs();
    expect(resultOf(await ask(world, produceRequest(0, sequenced(world, 0))))).toMatchObject(OK);
    await world.clock.advance(1000);
    expect(resultOf(await ask(world, produceRequest(0, sequenced(world, 0))))).toMatchObject({ ...OK, logAppendTimeMs: startMs });
  });

  test("a repeated batch is acknowledged only when the first one is on the disk", async () => {
    const world = await worldWithTopic();
    const [first, again] = [0, 0].map(() => produce(world, 0, sequenced(world, 0)));
    await Promise.resolve();
    expect([first!.response, again!.response]).toEqual([null, null]);
    await world.clock.run(Promise.all([first!.ended, again!.ended]));
    expect([first, again].map((asked) => resultOf(asked!.response).baseOffset)).toEqual([0, 0]);
    expect(await readAll(world, 0)).toEqual(["s0"]);
  });

  test("what is wrong with a producer's sequence or epoch comes with the log's start", async () => {
    const world = await worldWithTopic();
    await ask(world, produceRequest(0, sequenced(world, 0, { producerEpoch: 1 })));
    const code = async (batch: Buffer) => resultOf(await ask(world, produceRequest(0, batch)));
    expect(await code(sequenced(world, 5, { producerEpoch: 1 }))).toMatchObject({ ...refused(45), logStartOffset: 0 });
    expect(await code(sequenced(world, 1, { producerEpoch: 0 }))).toMatchObject({ ...refused(47), logStartOffset: 0 });
  });

  test("records at fault are named, from v8 on", async () => {
    const world = await worldWith({ "cleanup.policy": "compact" });
    const records = ["a", null, "c", null].map((key) => ({
      key: key === null ? null : Buffer.from(key),
      value: Buffer.from("v"),
      timestampMs: world.clock.nowMs(),
    }));
    const { recordErrors, errorMessage, ...rest } = resultOf(await ask(world, produceRequest(0, buildBatch({ records })), 8));
    expect(rest).toMatchObject({ errorCode: 87, baseOffset: -1, logStartOffset: 0 });
    const batchIndexErrorMessage = "Compacted topic cannot accept message without key in topic partition t-0";
    expect(recordErrors).toMatchObject([
      { batchIndex: 1, batchIndexErrorMessage: expect.stringContaining(batchIndexErrorMessage) },
      { batchIndex: 3, batchIndexErrorMessage: expect.stringContaining(batchIndexErrorMessage) },
    ]);
    expect(errorMessage).toStartWith("One or more records have been rejected due to 2 record errors in total");
    const before = resultOf(await ask(world, produceRequest(0, buildBatch({ records })), 7));
    expect(before).toMatchObject({ errorCode: 87, recordErrors: [], errorMessage: null });
  });

  test("a record of the wrong time is INVALID_TIMESTAMP", async () => {
    const world = await worldWith({ "message.timestamp.after.max.ms": "1000" });
    const result = resultOf(await ask(world, produceRequest(0, batchAt(world.clock.nowMs() + 5000))));
    expect(result).toMatchObject({ errorCode: 32, logStartOffset: 0, recordErrors: [{ batchIndex: 0 }] });
    expect(result.errorMessage).toBe("One or more records have been rejected due to invalid timestamp");
  });

  test("too large a batch has no message", async () => {
    const world = await worldWith({ "max.message.bytes": "100" });
    expect(resultOf(await ask(world, produceRequest(0, batchOf(world, "x".repeat(200)))))).toMatchObject(refused(10));
  });

  test("an internal topic takes batches of the admin client only", async () => {
    const world = await worldWithTopic();
    await world.clock.run(Promise.resolve(world.broker.topics.ensureInternal("__consumer_offsets")));
    const topicData = () => [
      { name: "__consumer_offsets", topicId: ZERO_UUID, partitionData: [{ index: 0, records: keyed(world) }] },
    ];
    expect(resultOf(await ask(world, { acks: -1, timeoutMs: 1000, topicData: topicData() }))).toMatchObject(refused(17));
    world.clientId = "__admin_client";
    expect(resultOf(await ask(world, { acks: -1, timeoutMs: 1000, topicData: topicData() }))).toMatchObject(OK);
  });

  test("that its topic was deleted before the batch was on the disk", async () => {
    const world = await worldWithTopic();
    const asked = produce(world, 0, batchOf(world, "a"));
    partitionOf(world, 0).close(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    expect(resultOf(asked.response)).toMatchObject(refused(3));
  });
});

const keyed = (world: BrokerWorld): Buffer =>
  buildBatch({ records: [{ key: Buffer.from("k"), value: Buffer.from("v"), timestampMs: world.clock.nowMs() }] });

describe("odd produce requests", () => {
  test("of nothing are answered with nothing", async () => {
    const world = await worldWithTopic();
    expect((await ask(world, { acks: -1, timeoutMs: 1000, topicData: [] })).responses).toEqual([]);
    expect(world.send(Produce, 12, { acks: 0, timeoutMs: 1000, topicData: [] })).toMatchObject({ silent: true, response: null });
    expect((await ask(world, { acks: 7, timeoutMs: 1000, topicData: [] })).responses).toEqual([]);
  });

  test("with acks of no meaning append nothing; an unknown topic comes first", async () => {
    const world = await worldWithTopic();
    for (const acks of [2, -2, 300])
      expect(resultOf(await ask(world, produceRequest(0, batchOf(world, "a"), acks)))).toMatchObject(refused(21));
    expect(resultOf(await ask(world, produceRequest(9, batchOf(world, "a"), 2)))).toMatchObject(refused(3));
    expect(await readAll(world, 0)).toEqual([]);
  });

  test("with a timeout of 0 wait for the disk all the same: there is no other replica to wait for", async () => {
    const world = await worldWithTopic();
    expect(resultOf(await ask(world, { ...produceRequest(0, batchOf(world, "a")), timeoutMs: 0 }))).toMatchObject(OK);
  });

  test("that name a partition or a topic twice get an answer for each", async () => {
    const world = await worldWithTopic();
    const data = (index: number, text: string) => ({ index, records: batchOf(world, text) });
    const topicData = [
      { name: TOPIC, topicId: ZERO_UUID, partitionData: [data(0, "a"), data(0, "b"), data(8, "x")] },
      { name: TOPIC, topicId: ZERO_UUID, partitionData: [data(0, "c"), data(1, "d")] },
    ];
    const { responses } = await ask(world, { acks: 1, timeoutMs: 1000, topicData });
    const told = responses.map((topic) => topic.partitionResponses.map((p) => [p.index, p.errorCode, p.baseOffset]));
    expect(told).toEqual([
      [
        [0, 0, 0],
        [0, 0, 1],
        [8, 3, -1],
      ],
      [
        [0, 0, 2],
        [1, 0, 0],
      ],
    ]);
    expect(await readAll(world, 0)).toEqual(["a", "b", "c"]);
  });

  test("with one bad partition and acks=0 append the others, and close the connection", async () => {
    const world = await worldWithTopic();
    const partitionData = [0, 9].map((index) => ({ index, records: batchOf(world, "a") }));
    const asked = world.send(Produce, 12, {
      acks: 0,
      timeoutMs: 0,
      topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData }],
    });
    expect(asked).toMatchObject({ silent: false, response: null, dropped: expect.any(String) });
    await world.clock.advance(100);
    expect(await readAll(world, 0)).toEqual(["a"]);
  });
});

describe("transactions", () => {
  const request = (batch: Buffer, transactionalId: string | null) => ({ ...produceRequest(0, batch), transactionalId });

  test("a transactional batch without a transactional id fails the whole request", async () => {
    const world = await worldWithTopic();
    const partitionData = [
      { index: 1, records: batchOf(world, "a") },
      { index: 0, records: sequenced(world, 0, { isTransactional: true }) },
    ];
    const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData }];
    const { responses } = await ask(world, { acks: -1, timeoutMs: 1000, topicData });
    expect(responses[0]!.partitionResponses).toMatchObject([
      { index: 1, ...refused(53) },
      { index: 0, ...refused(53) },
    ]);
    expect(await readAll(world, 1)).toEqual([]);
  });

  test("one of a transactional id that is not known is INVALID_PRODUCER_ID_MAPPING", async () => {
    const world = await worldWithTopic();
    const batch = () => sequenced(world, 0, { isTransactional: true });
    // Without __transaction_state nobody knows: the producer is to come again.
    expect(resultOf(await ask(world, request(batch(), "tx")))).toMatchObject({ errorCode: 19, baseOffset: -1 });
    await world.ask(FindCoordinator, { key: "", keyType: 1, coordinatorKeys: ["tx"] });
    expect(resultOf(await ask(world, request(batch(), "tx")))).toMatchObject(refused(49));
    expect(await readAll(world, 0)).toEqual([]);
  });

  test("a batch outside of transactions passes, whatever the request's transactional id", async () => {
    const world = await worldWithTopic();
    expect(resultOf(await ask(world, request(batchOf(world, "a"), "tx")))).toMatchObject(OK);
  });
});

describe("InitProducerId", () => {
  const init = async (world: BrokerWorld, o: Partial<RequestInput<typeof InitProducerId>>, version: number) =>
    await world.ask(InitProducerId, { transactionalId: null, transactionTimeoutMs: 60_000, ...o }, version);

  test("gives every asker a new id with epoch 0, in every version", async () => {
    const world = await worldWithTopic();
    const ids = new Set<number>();
    for (let version = 0; version <= 5; version++) {
      const { producerId, ...rest } = await init(world, {}, version);
      expect(rest).toMatchObject({ errorCode: 0, producerEpoch: 0 });
      ids.add(producerId);
    }
    // An idempotent producer that wants to go on with its own gets a new one, too.
    const { producerId, producerEpoch } = await init(world, { producerId: 3, producerEpoch: 2 }, 5);
    ids.add(producerId);
    expect(producerEpoch).toBe(0);
    expect(ids.size).toBe(7);
  });

  test("refuses half an identity, and an empty transactional id", async () => {
    const world = await worldWithTopic();
    const refusedAs = (errorCode: number) => ({ errorCode, producerId: -1, producerEpoch: -1 });
    expect(await init(world, { producerId: 3 }, 3)).toMatchObject(refusedAs(42));
    expect(await init(world, { producerEpoch: 3 }, 5)).toMatchObject(refusedAs(42));
    expect(await init(world, { transactionalId: "", producerId: 3 }, 5)).toMatchObject(refusedAs(42));
    expect(await init(world, { transactionalId: "" }, 0)).toMatchObject(refusedAs(42));
    expect(await init(world, { transactionalId: "tx", transactionTimeoutMs: 0 }, 5)).toMatchObject(refusedAs(50));
    expect(await init(world, { transactionalId: "tx", transactionTimeoutMs: 900_001 }, 5)).toMatchObject(refusedAs(50));
    expect(await init(world, { transactionalId: "tx" }, 5)).toMatchObject(refusedAs(16)); // it asked nobody for the coordinator
  });
});
