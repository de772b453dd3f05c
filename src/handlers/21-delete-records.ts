/**
 * DeleteRecords: moves the start of partitions up (KIP-107). A partition is answered once its new start is durable: Kafka may lose one that
 * it has acknowledged. Source: KafkaApis.handleDeleteRecordsRequest, ReplicaManager.deleteRecords.
 */
import { isInternalTopic } from "../metadata/topic-name.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { DeleteRecords } from "../protocol/messages/21-delete-records.ts";
import { type Call, handler } from "./handler.ts";

type DeleteCall = Call<typeof DeleteRecords>;

const INVALID_LOW_WATERMARK = -1;

interface PartitionAnswer {
  readonly partitionIndex: number;
  readonly lowWatermark: number;
  readonly errorCode: number;
}

export const deleteRecords = handler<typeof DeleteRecords>({
  api: DeleteRecords,
  served: "0-2",
  async handle(call) {
    const topics = [...offsetsOf(call)].map(async ([name, offsets]) => {
      const partitions = [...offsets].map(([index, offset]) => deleteBelow(call, name, index, offset));
      return { name, partitions: await Promise.all(partitions) };
    });
    call.reply({ topics: await Promise.all(topics) });
  },
  onError: (error, call) => ({
    topics: [...offsetsOf(call)].map(([name, offsets]) => ({
      name,
      partitions: [...offsets.keys()].map((index) => failure(index, error.code)),
    })),
  }),
});

/** Of a partition that is named twice, what is said last. */
function offsetsOf({ request }: DeleteCall): Map<string, Map<number, number>> {
  const topics = new Map<string, Map<number, number>>();
  for (const { name, partitions } of request.topics) {
    const offsets = topics.get(name) ?? new Map<number, number>();
    topics.set(name, offsets);
    for (const { partitionIndex, offset } of partitions) offsets.set(partitionIndex, offset);
  }
  return topics;
}

async function deleteBelow({ broker }: DeleteCall, name: string, index: number, offset: number): Promise<PartitionAnswer> {
  const partition = broker.partition(name, index);
  if (partition === undefined) return failure(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  if (isInternalTopic(name)) return failure(index, ErrorCode.INVALID_TOPIC_EXCEPTION);
  try {
    return { partitionIndex: index, lowWatermark: await partition.deleteRecords(offset), errorCode: ErrorCode.NONE };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return failure(index, error.code);
  }
}

const failure = (partitionIndex: number, errorCode: number): PartitionAnswer => ({
  partitionIndex,
  lowWatermark: INVALID_LOW_WATERMARK,
  errorCode,
});
