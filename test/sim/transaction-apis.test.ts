/** The transaction APIs version by version: errors are those of Kafka's KafkaApis, AddPartitionsToTxnManager and ProducerAppendInfo. */
import { describe, expect, test } from "bun:test";
import { errorName } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { OffsetFetch } from "../../src/protocol/messages/09-offset-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24-add-partitions-to-txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25-add-offsets-to-txn.ts";
import { EndTxn } from "../../src/protocol/messages/26-end-txn.ts";
import { WriteTxnMarkers } from "../../src/protocol/messages/27-write-txn-markers.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28-txn-offset-commit.ts";
import { DescribeTransactions } from "../../src/protocol/messages/65-describe-transactions.ts";
import { ListTransactions } from "../../src/protocol/messages/66-list-transactions.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/build.ts";
import { BrokerWorld } from "./broker-world.ts";
import { create, partitionOf, TOPIC } from "./data-requests.ts";

const ID = "tx";
const GROUP = "g";

/** A world in which both coordinators have their topics, and a producer with id and epoch. */
async function open(config: ConstructorParameters<typeof BrokerWorld>[1] = {}) {
  const world = new BrokerWorld(1, { transactionStateNumPartitions: 1, offsetsTopicNumPartitions: 1, ...config });
  await world.start();
  await create(world, 3);
  for (const keyType of [0, 1]) await world.ask(FindCoordinator, { key: "", keyType, coordinatorKeys: [ID] }, 4);
  const { producerId, producerEpoch } = await init(world);
  return { world, producerId, producerEpoch };
}

const init = (world: BrokerWorld, version = 5, o: { producerId?: number; producerEpoch?: number } = {}) =>
  world.ask(InitProducerId, { transactionalId: ID, transactionTimeoutMs: 60_000, ...o }, version);

type Producer = { producerId: number; producerEpoch: number };

async function add(
  world: BrokerWorld,
  { producerId, producerEpoch }: Producer,
  version = 3,
  partitions = [0],
): Promise<string[]> {
  const topics = [{ name: TOPIC, partitions }];
  const asked = {
    v3AndBelowTransactionalId: ID,
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: topics,
  };
  const { resultsByTopicV3AndBelow } = await world.ask(AddPartitionsToTxn, asked, version);
  return resultsByTopicV3AndBelow[0]!.resultsByPartition.map((each) => errorName(each.partitionErrorCode));
}

async function produce(
  world: BrokerWorld,
  producer: Producer,
  version: number,
  o: { partition?: number; sequence?: number } = {},
) {
  const records = buildBatch({
    records: [{ key: null, value: Buffer.from("v"), timestampMs: world.clock.nowMs() }],
    ...producer,
    baseSequence: o.sequence ?? 0,
    isTransactional: true,
  });
  const topicData = [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index: o.partition ?? 0, records }] }];
  const response = await world.ask(Produce, { transactionalId: ID, acks: -1, timeoutMs: 1000, topicData }, version);
  return errorName(response.responses[0]!.partitionResponses[0]!.errorCode);
}

const end = async (world: BrokerWorld, producer: Producer, committed: boolean, version = 3): Promise<string> =>
  errorName((await world.ask(EndTxn, { transactionalId: ID, ...producer, committed }, version)).errorCode);

describe("errors by version", () => {
  test("a replaced producer is PRODUCER_FENCED, and INVALID_PRODUCER_EPOCH before clients knew that (KIP-588)", async () => {
    const { world, producerId, producerEpoch } = await open();
    const old = { producerId, producerEpoch };
    await init(world);
    const told: string[] = ["INVALID_PRODUCER_EPOCH", "PRODUCER_FENCED"];
    expect([await add(world, old, 1), await add(world, old, 2)].flat()).toEqual(told);
    expect([await end(world, old, true, 1), await end(world, old, true, 2)]).toEqual(told);
    const offsets = { transactionalId: ID, ...old, groupId: GROUP };
    const addOffsets = async (version: number): Promise<string> =>
      errorName((await world.ask(AddOffsetsToTxn, offsets, version)).errorCode);
    expect([await addOffsets(1), await addOffsets(2)]).toEqual(told);
    const stranger = { producerId: 4711, producerEpoch: 3 };
    const begin = async (version: number): Promise<string> => errorName((await init(world, version, stranger)).errorCode);
    expect([await begin(3), await begin(4)]).toEqual(told);
    expect(await produce(world, old, 12)).toBe("INVALID_PRODUCER_EPOCH");
  });

  test("a partition that is not in the transaction", async () => {
    const { world, ...producer } = await open();
    await add(world, producer, 3, [1]);
    expect(await produce(world, producer, 10)).toBe("INVALID_TXN_STATE");
    expect(await produce(world, producer, 11)).toBe("TRANSACTION_ABORTABLE");
    expect(await produce(world, producer, 11, { partition: 1 })).toBe("NONE");
    expect(await produce(world, producer, 12)).toBe("NONE");
    expect(partitionOf(world, 0).lastStableOffset).toBe(0);
    const topics = [{ name: TOPIC, partitions: [0, 2] }];
    const transactions = [{ transactionalId: ID, ...producer, verifyOnly: true, topics }];
    const { resultsByTransaction } = await world.ask(AddPartitionsToTxn, { transactions }, 5);
    const results = resultsByTransaction[0]!.topicResults[0]!.resultsByPartition;
    expect(results.map((each): string => errorName(each.partitionErrorCode))).toEqual(["NONE", "TRANSACTION_ABORTABLE"]);
  });

  test("one partition that does not exist keeps all from being added", async () => {
    const { world, ...producer } = await open();
    expect(await add(world, producer, 3, [0, 9])).toEqual(["OPERATION_NOT_ATTEMPTED", "UNKNOWN_TOPIC_OR_PARTITION"]);
    expect(await end(world, producer, true)).toBe("INVALID_TXN_STATE");
  });

  test("a KIP-890 producer without state in a partition begins at 0", async () => {
    const { world, ...producer } = await open();
    expect(await produce(world, producer, 12, { sequence: 5 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(await produce(world, producer, 12)).toBe("NONE");
  });
});

describe("offsets in a transaction", () => {
  const commit = async (world: BrokerWorld, producer: Producer, version: number, o: object = {}): Promise<string> => {
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }];
    const topicId = version >= 6 ? world.broker.image.topicByName(TOPIC)!.id : ZERO_UUID;
    const topics = [{ name: TOPIC, topicId, partitions }];
    const response = await world.ask(
      TxnOffsetCommit,
      { transactionalId: ID, groupId: GROUP, ...producer, ...o, topics },
      version,
    );
    return errorName(response.topics[0]!.partitions[0]!.errorCode);
  };
  const committed = async (world: BrokerWorld, requireStable: boolean): Promise<string> => {
    const topics = [{ name: TOPIC, topicId: ZERO_UUID, partitionIndexes: [0] }];
    const request = { requireStable, groups: [{ groupId: GROUP, memberId: null, memberEpoch: -1, topics }] };
    const { groups } = await world.ask(OffsetFetch, request, 8);
    const { committedOffset, errorCode } = groups[0]!.topics[0]!.partitions[0]!;
    return errorCode === 0 ? `${committedOffset}` : errorName(errorCode);
  };

  test("must have been announced up to v4; are seen when it is committed, and unstable before", async () => {
    const { world, ...producer } = await open();
    await add(world, producer, 3);
    expect([await commit(world, producer, 3), await commit(world, producer, 4)]).toEqual([
      "INVALID_TXN_STATE",
      "TRANSACTION_ABORTABLE",
    ]);
    await world.ask(AddOffsetsToTxn, { transactionalId: ID, ...producer, groupId: GROUP }, 3);
    expect(await commit(world, producer, 3)).toBe("NONE");
    expect([await committed(world, false), await committed(world, true)]).toEqual(["-1", "UNSTABLE_OFFSET_COMMIT"]);
    expect(await end(world, producer, true)).toBe("NONE");
    await world.clock.advance(100);
    expect([await committed(world, false), await committed(world, true)]).toEqual(["7", "7"]);
  });

  test.each([5, 6])("v%d adds the group by itself; aborted ones never were", async (version) => {
    const { world, ...producer } = await open();
    expect(await commit(world, producer, version)).toBe("NONE");
    expect(await end(world, producer, false, 5)).toBe("NONE");
    await world.clock.advance(100);
    expect([await committed(world, false), await committed(world, true)]).toEqual(["-1", "-1"]);
  });

  test("of a member that is not there, or of another generation, are refused (KIP-447)", async () => {
    const { world, ...producer } = await open();
    expect(await commit(world, producer, 5, { generationIdOrMemberEpoch: 3, memberId: "m" })).toBe("ILLEGAL_GENERATION");
    expect(await commit(world, producer, 6, { generationIdOrMemberEpoch: 3, memberId: "m" })).toBe("GROUP_ID_NOT_FOUND");
    expect(await commit(world, producer, 5)).toBe("NONE");
    expect(await commit(world, producer, 5, { generationIdOrMemberEpoch: 3, memberId: "m" })).toBe("UNKNOWN_MEMBER_ID");
  });
});

test("WriteTxnMarkers ends what hangs; what comes too late is refused", async () => {
  const { world, ...producer } = await open();
  await produce(world, producer, 12);
  const write = async (o: { producerEpoch?: number; coordinatorEpoch?: number; transactionVersion?: number; index?: number }) => {
    const { index = 0, ...more } = o;
    const topics = [{ name: TOPIC, partitionIndexes: [index] }];
    const marker = { ...producer, transactionResult: false, coordinatorEpoch: 3, topics, transactionVersion: 0, ...more };
    const { markers } = await world.ask(WriteTxnMarkers, { markers: [marker] }, 2);
    return errorName(markers[0]!.topics[0]!.partitions[0]!.errorCode);
  };
  expect(await write({ index: 9 })).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  expect(await write({ transactionVersion: 2 })).toBe("INVALID_PRODUCER_EPOCH"); // by version 2 it needs a new one
  expect(await write({})).toBe("NONE");
  expect(partitionOf(world, 0).lastStableOffset).toBe(2);
  const aborted = await world.clock.run(Promise.resolve(partitionOf(world, 0).log.abortedTransactions(0, 2)));
  expect(aborted).toMatchObject([{ producerId: producer.producerId, firstOffset: 0, lastOffset: 1 }]);
  expect(await write({ transactionVersion: 2 })).toBe("NONE"); // written again (KAFKA-19999)
  expect(await write({ coordinatorEpoch: 2 })).toBe("TRANSACTION_COORDINATOR_FENCED");
  expect(await write({ producerEpoch: producer.producerEpoch + 1 })).toBe("NONE");
  expect(await write({})).toBe("INVALID_PRODUCER_EPOCH");
});

test("transactions are described and listed", async () => {
  const { world, ...producer } = await open();
  await add(world, producer, 3, [0, 2]);
  const { transactionStates } = await world.ask(DescribeTransactions, { transactionalIds: [ID, "nobody", ""] }, 0);
  expect(transactionStates.map((each) => [each.transactionState, errorName(each.errorCode)])).toEqual([
    ["Ongoing", "NONE"],
    ["", "TRANSACTIONAL_ID_NOT_FOUND"],
    ["", "INVALID_REQUEST"],
  ]);
  expect(transactionStates[0]).toMatchObject({
    ...producer,
    transactionTimeoutMs: 60_000,
    topics: [{ topic: TOPIC, partitions: [0, 2] }],
  });
  const list = await world.ask(
    ListTransactions,
    { stateFilters: ["Ongoing", "Odd"], producerIdFilters: [], durationFilter: -1 },
    1,
  );
  expect(list).toMatchObject({ errorCode: 0, unknownStateFilters: ["Odd"] });
  expect(list.transactionStates).toMatchObject([{ transactionalId: ID, transactionState: "Ongoing" }]);
  const none = await world.ask(ListTransactions, { stateFilters: ["Dead"], producerIdFilters: [], durationFilter: -1 }, 1);
  expect(none).toMatchObject({ unknownStateFilters: [], transactionStates: [] });
});

test("are listed by a pattern of their ids, which must be one", async () => {
  const { world } = await open();
  await world.ask(InitProducerId, { transactionalId: "other-1", transactionTimeoutMs: 1000 }, 4);
  const list = async (transactionalIdPattern: string | null) => {
    const filters = { stateFilters: [], producerIdFilters: [], durationFilter: -1 };
    const { errorCode, transactionStates } = await world.ask(ListTransactions, { ...filters, transactionalIdPattern }, 2);
    return errorCode === 0 ? transactionStates.map((each) => each.transactionalId).sort() : errorName(errorCode);
  };
  expect([await list(null), await list("")]).toEqual([
    ["other-1", ID],
    ["other-1", ID],
  ]);
  expect([await list("other-.*"), await list("t."), await list("t")]).toEqual([["other-1"], [ID], []]);
  expect(await list("(")).toBe("INVALID_REGULAR_EXPRESSION");
});

test("what still waits for the coordinator when its connection closes is not carried out", async () => {
  const { world, ...producer } = await open();
  await add(world, producer);
  await world.stop();
  await world.start(); // the coordinator reads its log now
  const late = world.send(EndTxn, 3, { transactionalId: ID, ...producer, committed: true });
  world.connection.closed = true;
  await world.clock.run(late.ended);
  world.connection.closed = false;
  const { transactionStates } = await world.ask(DescribeTransactions, { transactionalIds: [ID] }, 0);
  expect(transactionStates[0]!.transactionState).toBe("Ongoing");
  expect(await end(world, producer, true)).toBe("NONE");
});

test("a marker that no batch can hold is refused", async () => {
  const { world } = await open();
  for (const producerId of [-1, 2 ** 53]) {
    const topics = [{ name: TOPIC, partitionIndexes: [0] }];
    const marker = { producerId, producerEpoch: 0, transactionResult: true, coordinatorEpoch: 0, topics };
    const { markers } = await world.ask(WriteTxnMarkers, { markers: [marker] }, 1);
    expect(errorName(markers[0]!.topics[0]!.partitions[0]!.errorCode)).toBe("INVALID_REQUEST");
  }
});

test("transactional ids take bounded memory", async () => {
  const { world } = await open({ transactionMaxMemoryBytes: 1024 * 1024 });
  let refused = 0;
  for (let n = 0; n < 2000 && refused === 0; n++) {
    const { errorCode } = await world.ask(InitProducerId, { transactionalId: `another ${n}`, transactionTimeoutMs: 1000 }, 4);
    if (errorCode !== 0) refused = errorCode;
  }
  expect(errorName(refused)).toBe("POLICY_VIOLATION");
  expect((await init(world)).errorCode).toBe(0); // who is known goes on
});
