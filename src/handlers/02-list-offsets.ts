/** ListOffsets: the special offsets, and the first record at or after a timestamp, exact to the record. */
import type { Isolation, Partition } from "../broker/partition.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { ListOffsets } from "../protocol/messages/02-list-offsets.ts";
import { type Call, handler } from "./handler.ts";

type ListCall = Call<typeof ListOffsets>;
type Asked = ListCall["request"]["topics"][number]["partitions"][number];

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
    const duplicates = duplicatePartitions(call);
    const topics = [];
    for (const topic of call.request.topics) {
      const partitions = [];
      for (const asked of topic.partitions) partitions.push(await answer(call, topic.name, asked, duplicates));
      topics.push({ name: topic.name, partitions });
    }
    call.reply({ topics });
  },
  onError: (error, call) => ({
    topics: call.request.topics.map((topic) => ({
      name: topic.name,
      partitions: topic.partitions.map((asked) => failure(asked, error.code)),
    })),
  }),
});

async function answer(call: ListCall, topic: string, asked: Asked, duplicates: ReadonlySet<string>) {
  if (duplicates.has(`${asked.partitionIndex}:${topic}`)) return failure(asked, ErrorCode.INVALID_REQUEST);
  const partition = call.broker.partition(topic, asked.partitionIndex);
  if (partition === undefined) return failure(asked, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  try {
    partition.checkLeaderEpoch(asked.currentLeaderEpoch);
    const isolation = call.request.isolationLevel === 1 ? "read_committed" : "read_uncommitted";
    const { offset, timestampMs, leaderEpoch } = await find(partition, asked.timestamp, isolation, call.version);
    return { partitionIndex: asked.partitionIndex, errorCode: 0, timestamp: timestampMs, offset, leaderEpoch };
  } catch (error) {
    if (error instanceof KafkaError) return failure(asked, error.code);
    throw error;
  }
}

async function find(partition: Partition, timestamp: number, isolation: Isolation, version: number): Promise<Found> {
  if (timestamp < 0 && version < (SINCE_VERSION.get(timestamp) ?? Number.POSITIVE_INFINITY)) {
    throw new KafkaError("UNSUPPORTED_VERSION");
  }
  const { log } = partition;
  const limitOffset = partition.readableEnd(isolation);
  switch (timestamp) {
    case LATEST:
      return { offset: limitOffset, timestampMs: -1, leaderEpoch: latestEpoch(partition) };
    case EARLIEST:
    case EARLIEST_LOCAL: // nothing is tiered here, so all of the log is local
      return { offset: log.logStartOffset, timestampMs: -1, leaderEpoch: epochAt(partition, log.logStartOffset) };
    case MAX_TIMESTAMP:
      return (await log.offsetOfMaxTimestamp(limitOffset)) ?? NOT_FOUND;
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NOT_FOUND;
    default:
      return (await log.offsetForTimestamp(timestamp, limitOffset)) ?? NOT_FOUND;
  }
}

const latestEpoch = (partition: Partition): number => partition.log.leaderEpochs.latest;

const epochAt = (partition: Partition, offset: number): number => partition.log.leaderEpochs.epochForOffset(offset);

function failure(asked: Asked, errorCode: number) {
  return { partitionIndex: asked.partitionIndex, errorCode, timestamp: -1, offset: -1, leaderEpoch: -1 };
}

function duplicatePartitions(call: ListCall): ReadonlySet<string> {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const topic of call.request.topics) {
    for (const { partitionIndex } of topic.partitions) {
      const key = `${partitionIndex}:${topic.name}`;
      if (seen.has(key)) twice.add(key);
      seen.add(key);
    }
  }
  return twice;
}
