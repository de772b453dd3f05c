/** DescribeProducers: what partitions know about their producers. Source: KafkaApis.handleDescribeProducersRequest. */
import type { Partition } from "../broker/partition.ts";
import { topicNameFault } from "../metadata/topic-name.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { DescribeProducers } from "../protocol/messages/61-describe-producers.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { handler } from "./handler.ts";
import { Told } from "./told.ts";

type PartitionAnswer = ResponseInput<typeof DescribeProducers>["topics"][number]["partitions"][number];

/** One producer in an answer: five numbers of 4 to 8 bytes, and an empty list of tags. */
const PRODUCER_BYTES = 37;
/** An answer may have so much whatever else is going on. */
const LEAST_ROOM_BYTES = 1024 * 1024;

export const describeProducers = handler<typeof DescribeProducers>({
  api: DescribeProducers,
  served: "0",
  handle(call) {
    const room = { bytes: Math.max(LEAST_ROOM_BYTES, call.answerRoomBytes) };
    const told = new Told();
    const topics = call.request.topics.map(({ name, partitionIndexes }) => {
      const fault = topicNameFault(name);
      const describe = (index: number): PartitionAnswer =>
        fault === null
          ? described(index, call.broker.partition(name, index), room)
          : refused(index, ErrorCode.INVALID_TOPIC_EXCEPTION, told.message(fault));
      return { name, partitions: partitionIndexes.map(describe) };
    });
    call.reply({ topics });
  },
  onError: (error, call) => ({
    topics: call.request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => refused(index, error.code)),
    })),
  }),
});

const refused = (partitionIndex: number, errorCode: number, errorMessage: string | null = null): PartitionAnswer => ({
  partitionIndex,
  errorCode,
  errorMessage,
  activeProducers: [],
});

function described(partitionIndex: number, partition: Partition | undefined, room: { bytes: number }): PartitionAnswer {
  if (partition === undefined) return refused(partitionIndex, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  const { log } = partition;
  if (log.offline !== null) return refused(partitionIndex, ErrorCode.KAFKA_STORAGE_ERROR);
  // A partition that is named a thousand times must not become an answer that no memory holds.
  room.bytes -= log.producers.size * PRODUCER_BYTES;
  if (room.bytes < 0)
    return refused(partitionIndex, ErrorCode.POLICY_VIOLATION, "The answer would be too large: ask for fewer partitions.");
  const activeProducers = Array.from(log.producers.entries(), (entry) => ({
    producerId: entry.producerId,
    producerEpoch: entry.epoch,
    lastSequence: entry.batches.at(-1)?.lastSequence ?? -1,
    lastTimestamp: entry.lastTimestampMs,
    coordinatorEpoch: entry.coordinatorEpoch,
    currentTxnStartOffset: entry.currentTxnFirstOffset,
  }));
  return { partitionIndex, errorCode: 0, errorMessage: null, activeProducers };
}
