/** The data APIs' requests as tests write them, for one topic, and what their answers say. */
import { expect } from "bun:test";
import type { Partition } from "../../src/broker/partition.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { Fetch } from "../../src/protocol/messages/01-fetch.ts";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { type Response, ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch, records } from "../../src/record/records.ts";
import { BrokerWorld } from "./broker-world.ts";

export const TOPIC = "t";

export async function worldWithTopic(seed = 1, numPartitions = 3): Promise<BrokerWorld> {
  const world = new BrokerWorld(seed);
  await world.start();
  await create(world, numPartitions);
  return world;
}

/** Makes the topic; gives its id. */
export async function create(world: BrokerWorld, numPartitions: number, configs: Record<string, string> = {}): Promise<string> {
  const entries = Object.entries(configs).map(([name, value]) => ({ name, value }));
  const topics = [{ name: TOPIC, numPartitions, replicationFactor: 1, assignments: [], configs: entries }];
  const { topics: created } = await world.ask(CreateTopics, { topics, timeoutMs: 1000 });
  expect(created[0]!.errorCode).toBe(0);
  return created[0]!.topicId;
}

export async function remove(world: BrokerWorld): Promise<void> {
  await world.ask(DeleteTopics, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });
}

export const batchOf = (
  world: BrokerWorld,
  text: string,
  producer: { producerId: number; baseSequence: number } | null = null,
): Buffer =>
  buildBatch({
    records: [{ key: null, value: Buffer.from(text), timestampMs: world.clock.nowMs() }],
    ...(producer === null ? {} : { ...producer, producerEpoch: 0 }),
  });

export const produceRequest = (index: number, batch: Buffer | null, acks = -1) => ({
  acks,
  timeoutMs: 1000,
  topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index, records: batch }] }],
});

export const produce = (world: BrokerWorld, index: number, batch: Buffer | null, acks = -1) =>
  world.send(Produce, 12, produceRequest(index, batch, acks));

/** Produces one record and waits until it is on the disk. */
export const put = async (world: BrokerWorld, index: number, text: string): Promise<void> => {
  const response = await world.ask(Produce, produceRequest(index, batchOf(world, text)), 12);
  expect(resultOf(response).errorCode).toBe(0);
};

export const partitionOf = (world: BrokerWorld, index: number): Partition => world.broker.partition(TOPIC, index)!;

/** What a new leader epoch does to a partition; one broker alone never makes one. */
export function leadWith(partition: Partition, leaderEpoch: number): void {
  (partition as { leaderEpoch: number }).leaderEpoch = leaderEpoch;
}

/** As if another broker led it. */
export function resign(partition: Partition): void {
  (partition as { isLeader: boolean }).isLeader = false;
}

export const resultOf = (response: Response<typeof Produce> | null) => response!.responses[0]!.partitionResponses[0]!;

export interface FetchOptions {
  /** By partition index. */
  offsets: Record<number, number>;
  /** Instead of the topic's name: from v13 on. */
  topicId?: string;
  isolationLevel?: number;
  replicaId?: number;
  currentLeaderEpoch?: number;
  lastFetchedEpoch?: number;
  maxWaitMs?: number;
  minBytes?: number;
  maxBytes?: number;
  partitionMaxBytes?: number;
  session?: [id: number, epoch: number];
  forget?: number[];
}

export const fetchRequest = (o: FetchOptions) => ({
  maxWaitMs: o.maxWaitMs ?? 500,
  minBytes: o.minBytes ?? 1,
  maxBytes: o.maxBytes ?? 1_000_000,
  isolationLevel: o.isolationLevel ?? 0,
  replicaId: o.replicaId ?? -1,
  replicaState: { replicaId: o.replicaId ?? -1, replicaEpoch: -1 },
  sessionId: o.session?.[0] ?? 0,
  sessionEpoch: o.session?.[1] ?? -1,
  topics: [
    {
      topic: TOPIC,
      topicId: o.topicId ?? ZERO_UUID,
      partitions: Object.entries(o.offsets).map(([partition, fetchOffset]) => ({
        partition: Number(partition),
        fetchOffset,
        partitionMaxBytes: o.partitionMaxBytes ?? 100_000,
        currentLeaderEpoch: o.currentLeaderEpoch ?? -1,
        lastFetchedEpoch: o.lastFetchedEpoch ?? -1,
      })),
    },
  ].filter((topic) => topic.partitions.length > 0),
  forgottenTopicsData: o.forget === undefined ? [] : [{ topic: TOPIC, topicId: o.topicId ?? ZERO_UUID, partitions: o.forget }],
});

export const sendFetch = (world: BrokerWorld, o: FetchOptions, version = o.topicId === undefined ? 12 : 18) =>
  world.send(Fetch, version, fetchRequest(o));

export async function fetch(world: BrokerWorld, o: FetchOptions, version?: number): Promise<Response<typeof Fetch>> {
  const asked = sendFetch(world, o, version);
  await world.clock.run(asked.ended);
  return asked.response!;
}

/** The partitions of an answer, whatever topics they stand under. */
export const partitionsOf = (response: Response<typeof Fetch> | null) =>
  response!.responses.flatMap(({ partitions }) => partitions);

/** [index, error code] of each. */
export const errorsOf = (response: Response<typeof Fetch> | null): [number, number][] =>
  partitionsOf(response).map(({ partitionIndex, errorCode }) => [partitionIndex, errorCode]);

/** The values that a fetch brought, by partition. */
export function valuesOf(response: Response<typeof Fetch> | null): Record<number, string[]> {
  const found: Record<number, string[]> = {};
  for (const { partitions } of response!.responses) {
    for (const { partitionIndex, records: bytes } of partitions) {
      found[partitionIndex] = [];
      for (let at = 0; at < bytes!.length; at += 12 + bytes!.readInt32BE(at + 8)) {
        for (const record of records(bytes!, at, { maxBytes: 1_000_000 })) found[partitionIndex].push(String(record.value));
      }
    }
  }
  return found;
}

export async function readAll(world: BrokerWorld, index: number): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const response = await fetch(world, { offsets: { [index]: found.length }, maxWaitMs: 0, maxBytes: 3000 });
    expect(response.responses[0]!.partitions[0]!.errorCode).toBe(0);
    const values = valuesOf(response)[index]!;
    if (values.length === 0) return found;
    found.push(...values);
  }
}
