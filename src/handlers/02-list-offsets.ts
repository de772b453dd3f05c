/**
 * ListOffsets: the special offsets, and the first record at or after a timestamp, exact to the record. Whoever asks, nothing beyond the
 * high watermark is told (Kafka tells replicas and debugging consumers up to the log's end).
 */
import type { Partition } from "../broker/partition.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { ListOffsets } from "../protocol/messages/02-list-offsets.ts";
import { type Call, handler } from "./handler.ts";

type ListCall = Call<typeof ListOffsets>;
type Asked = ListCall["request"]["topics"][number]["partitions"][number];

interface PartitionAnswer {
  partitionIndex: number;
  errorCode: number;
  timestamp: number;
  offset: number;
  leaderEpoch: number;
}

/** Special timestamps and the version since which they may be asked (ListOffsetsRequest). */
const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;
const LATEST_TIERED = -5;
const EARLIEST_PENDING_UPLOAD = -6;
const SINCE_VERSION = new Map([
  [LATEST, 1],
  [EARLIEST, 1],
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
]);

/** ListOffsetsRequest.CONSUMER_REPLICA_ID: isolation levels are for consumers only. */
const CONSUMER_REPLICA_ID = -1;

interface Found {
  offset: number;
  timestampMs: number;
  leaderEpoch: number;
}

const NOT_FOUND: Found = { offset: -1, timestampMs: -1, leaderEpoch: -1 };

export const listOffsets = handler<typeof ListOffsets>({
  api: ListOffsets,
  served: "1-11",
  async handle(call) {
    const topics = [];
    for (const [name, asked] of askedPartitions(call)) {
      const partitions = [];
      for (const [partitionIndex, one] of asked) {
        const found = answer(call, name, partitionIndex, one);
        partitions.push(found instanceof Promise ? await found : found);
      }
      topics.push({ name, partitions });
    }
    call.reply({ topics });
  },
  onError: (error, call) => ({
    topics: call.request.topics.map((topic) => ({
      name: topic.name,
      partitions: topic.partitions.map(({ partitionIndex }) => failure(partitionIndex, error.code)),
    })),
  }),
});

/** What is asked, by topic and partition; null for a partition that is named twice, which gets one error for both. */
function askedPartitions(call: ListCall): Map<string, Map<number, Asked | null>> {
  const topics = new Map<string, Map<number, Asked | null>>();
  for (const { name, partitions } of call.request.topics) {
    const asked = topics.get(name) ?? new Map<number, Asked | null>();
    topics.set(name, asked);
    for (const one of partitions) asked.set(one.partitionIndex, asked.has(one.partitionIndex) ? null : one);
  }
  return topics;
}

function answer(call: ListCall, topic: string, index: number, asked: Asked | null): PartitionAnswer | Promise<PartitionAnswer> {
  if (asked === null) return failure(index, ErrorCode.INVALID_REQUEST);
  if (isUnsupported(asked.timestamp, call.version)) return failure(index, ErrorCode.UNSUPPORTED_VERSION);
  const partition = call.broker.partition(topic, index);
  if (partition === undefined) return failure(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  const { replicaId, isolationLevel } = call.request;
  const isolation = replicaId === CONSUMER_REPLICA_ID && isolationLevel === 1 ? "read_committed" : "read_uncommitted";
  const refused = (error: unknown): PartitionAnswer => {
    if (error instanceof KafkaError) return failure(index, error.code);
    throw error;
  };
  try {
    partition.checkLeaderEpoch(asked.currentLeaderEpoch);
    const found = find(partition, asked.timestamp, partition.readableEnd(isolation));
    if (found instanceof Promise)
      return found.then(
        (late) => success(index, late ?? NOT_FOUND),
        (error) => refused(partition.closedWith ?? error),
      );
    return success(index, found);
  } catch (error) {
    return refused(error);
  }
}

const isUnsupported = (timestamp: number, version: number): boolean =>
  timestamp < 0 && version < (SINCE_VERSION.get(timestamp) ?? Number.POSITIVE_INFINITY);

function find(partition: Partition, timestamp: number, limitOffset: number): Found | Promise<Found | null> {
  const { log, leaderEpoch } = partition;
  switch (timestamp) {
    case LATEST:
      return { offset: limitOffset, timestampMs: -1, leaderEpoch };
    case EARLIEST:
    case EARLIEST_LOCAL: // nothing is tiered here, so all of the log is local
      return { offset: log.logStartOffset, timestampMs: -1, leaderEpoch: earliestEpoch(partition) };
    case MAX_TIMESTAMP:
      return log.offsetOfMaxTimestamp(limitOffset);
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NOT_FOUND;
    default:
      return log.offsetForTimestamp(timestamp, limitOffset);
  }
}

/** The epoch that the log's start was written in, -1 if that is not known. */
function earliestEpoch({ log }: Partition): number {
  const { earliest } = log.leaderEpochs;
  return earliest !== null && earliest.startOffset <= log.logStartOffset ? earliest.epoch : -1;
}

const success = (partitionIndex: number, { offset, timestampMs, leaderEpoch }: Found): PartitionAnswer => ({
  partitionIndex,
  errorCode: 0,
  timestamp: timestampMs,
  offset,
  leaderEpoch,
});

const failure = (partitionIndex: number, errorCode: number): PartitionAnswer => ({
  partitionIndex,
  errorCode,
  timestamp: -1,
  offset: -1,
  leaderEpoch: -1,
});
