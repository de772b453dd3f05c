/** Fetches of committed data beside transactions that end and segments that go. What holds is Kafka's DelayedFetch and LocalLog.read. */
import { expect, test } from "bun:test";
import { ErrorCode } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { DeleteRecords } from "../../src/protocol/messages/21-delete-records.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { EndTxn } from "../../src/protocol/messages/26-end-txn.ts";
import { buildBatch } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";
import { create, partitionOf, partitionsOf, produceRequest, put, resultOf, sendFetch, TOPIC, valuesOf } from "./data-requests.ts";

const ID = "tx";
const COMMITTED = 1;

/** A topic of one partition with an open transaction in it: one record at offset 0. */
async function withOpenTransaction(value: string) {
  const world = new BrokerWorld(1, { transactionStateNumPartitions: 1, logSegmentBytes: 3000, logRetentionCheckIntervalMs: 20 });
  await world.start();
  await create(world, 1);
  await world.ask(FindCoordinator, { keyType: 1, coordinatorKeys: [ID] });
  const producer = await world.ask(InitProducerId, { transactionalId: ID, transactionTimeoutMs: 60_000 });
  const { producerId, producerEpoch } = producer;
  const records = [{ key: null, value: Buffer.from(value), timestampMs: world.clock.nowMs() }];
  const batch = buildBatch({ records, producerId, producerEpoch, baseSequence: 0, isTransactional: true });
  const response = await world.ask(Produce, { transactionalId: ID, ...produceRequest(0, batch) }, 12);
  expect(resultOf(response).errorCode).toBe(0);
  const end = (committed: boolean) => world.ask(EndTxn, { transactionalId: ID, producerId, producerEpoch, committed }, 5);
  return { world, end };
}

test("what a marker lets be read counts, not the marker alone", async () => {
  const value = "x".repeat(1500);
  const { world, end } = await withOpenTransaction(value);
  const fetch = () => sendFetch(world, { offsets: { 0: 0 }, isolationLevel: COMMITTED, minBytes: 1000, maxWaitMs: 20_000 });
  const waiting = fetch();
  await put(world, 0, "y".repeat(1200)); // enough, but behind what is open
  await world.clock.advance(50);
  expect(waiting.response).toBeNull();
  await end(true);
  await world.clock.advance(1000);
  expect(valuesOf(waiting.response)[0]!.map((each) => each.length)).toEqual([1500, 1200, 6]); // the marker is 6 bytes
});

test("less than it waits for is no answer, though a transaction has ended", async () => {
  const { world, end } = await withOpenTransaction("little");
  const waiting = sendFetch(world, { offsets: { 0: 0 }, isolationLevel: COMMITTED, minBytes: 1000, maxWaitMs: 20_000 });
  await end(true);
  await world.clock.advance(10_000);
  expect(waiting.response).toBeNull();
  await put(world, 0, "y".repeat(1200));
  await world.clock.advance(1000);
  expect(valuesOf(waiting.response)[0]![0]).toBe("little");
});

test("a segment that goes takes nothing along of what is to be left out of a read", async () => {
  const { world, end } = await withOpenTransaction("a".repeat(2000));
  await end(false);
  await world.clock.advance(100);
  await put(world, 0, "b".repeat(2000)); // in the next segment
  const { log } = partitionOf(world, 0);
  const asked = log.abortedTransactions.bind(log);
  let times = 0;
  log.abortedTransactions = async (...given) => {
    times++;
    await new Promise<void>((resolve) => world.clock.schedule(200, resolve));
    return await asked(...given);
  };
  const late = sendFetch(world, { offsets: { 0: 0 }, isolationLevel: COMMITTED, maxWaitMs: 0 });
  await world.clock.advance(10);
  const partitions = [{ partitionIndex: 0, offset: 2 }];
  await world.ask(DeleteRecords, { topics: [{ name: TOPIC, partitions }], timeoutMs: 1000 });
  await world.clock.advance(500);
  expect(times).toBe(1);
  expect(partitionsOf(late.response)[0]).toMatchObject({ errorCode: ErrorCode.OFFSET_OUT_OF_RANGE });
});
