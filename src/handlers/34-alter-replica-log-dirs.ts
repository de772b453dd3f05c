/**
 * AlterReplicaLogDirs: there is one log directory, so every replica is where it can be. Source: ReplicaManager.alterReplicaLogDirs.
 */
import { ErrorCode } from "../protocol/errors.ts";
import { AlterReplicaLogDirs } from "../protocol/messages/34-alter-replica-log-dirs.ts";
import { type Call, handler } from "./handler.ts";

type AlterCall = Call<typeof AlterReplicaLogDirs>;

/** What Kafka puts behind the name of a replica that is being moved: a dot, 32 hexadecimal digits, "-future". */
const FUTURE_SUFFIX_BYTES = 40;
const MAX_FILE_NAME_BYTES = 255;

export const alterReplicaLogDirs = handler<typeof AlterReplicaLogDirs>({
  api: AlterReplicaLogDirs,
  served: "1-2",
  handle(call) {
    const results = [...askedPartitions(call)].map(([topicName, asked]) => ({
      topicName,
      partitions: [...asked].map(([index, path]) => ({
        partitionIndex: index,
        errorCode: outcome(call, topicName, index, path),
      })),
    }));
    call.reply({ results });
  },
  onError: (error, call) => ({
    results: call.request.dirs.flatMap(({ topics }) =>
      topics.map(({ name, partitions }) => ({
        topicName: name,
        partitions: partitions.map((partitionIndex) => ({ partitionIndex, errorCode: error.code })),
      })),
    ),
  }),
});

/** Where each partition is to be; of two places the last one counts, as in Kafka. */
function askedPartitions(call: AlterCall): Map<string, Map<number, string>> {
  const byTopic = new Map<string, Map<number, string>>();
  for (const { path, topics } of call.request.dirs) {
    for (const { name, partitions } of topics) {
      const asked = byTopic.get(name) ?? new Map<number, string>();
      byTopic.set(name, asked);
      for (const index of partitions) asked.set(index, path);
    }
  }
  return byTopic;
}

function outcome({ broker }: AlterCall, topic: string, index: number, path: string): number {
  if (`${topic}-${index}`.length + FUTURE_SUFFIX_BYTES > MAX_FILE_NAME_BYTES) return ErrorCode.INVALID_TOPIC_EXCEPTION;
  if (path !== broker.logs.path) return ErrorCode.LOG_DIR_NOT_FOUND;
  const partition = broker.partition(topic, index);
  if (partition === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  return partition.log.offline === null ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR;
}
