/**
 * AlterPartitionReassignments: on a single broker the only place for a replica is where it is, so nothing ever moves and nothing can be
 * cancelled. Source: ReplicationControlManager.alterPartitionReassignments.
 */
import { assignmentFault } from "../broker/topics-plan.ts";
import { KafkaError } from "../protocol/errors.ts";
import { AlterPartitionReassignments } from "../protocol/messages/45-alter-partition-reassignments.ts";
import { type Call, handler } from "./handler.ts";
import { Told } from "./told.ts";

type AlterCall = Call<typeof AlterPartitionReassignments>;
type Target = AlterCall["request"]["topics"][number]["partitions"][number];

export const alterPartitionReassignments = handler<typeof AlterPartitionReassignments>({
  api: AlterPartitionReassignments,
  served: "0-1",
  handle(call) {
    const { topics, allowReplicationFactorChange } = call.request;
    const told = new Told();
    const responses = topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map((target) => {
        const error = refusal(call, name, target);
        return {
          partitionIndex: target.partitionIndex,
          errorCode: error?.code ?? 0,
          errorMessage: told.message(error?.message ?? ""),
        };
      }),
    }));
    call.reply({ allowReplicationFactorChange, errorCode: 0, errorMessage: null, responses });
  },
  onError: (error, call) => ({
    errorCode: error.code,
    errorMessage: error.message || null,
    responses: call.request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error.code, errorMessage: null })),
    })),
  }),
});

/** Why a partition cannot have these replicas; null if it has them. */
function refusal({ broker, request }: AlterCall, name: string, { partitionIndex, replicas }: Target): KafkaError | null {
  const { image } = broker;
  const topic = image.topicByName(name);
  if (topic === undefined) return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `Unable to find a topic named ${name}.`);
  const partition = topic.partitions[partitionIndex];
  if (partition === undefined)
    return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `Unable to find partition ${name}:${partitionIndex}.`);
  if (replicas === null) return new KafkaError("NO_REASSIGNMENT_IN_PROGRESS");
  const brokerIds = image.brokers().map(({ nodeId }) => nodeId);
  const fault = assignmentFault(replicas, null, brokerIds);
  if (fault !== null) return new KafkaError("INVALID_REPLICA_ASSIGNMENT", fault);
  const has = partition.replicas.length;
  if (!request.allowReplicationFactorChange && replicas.length !== has)
    return new KafkaError("INVALID_REPLICATION_FACTOR", `The replication factor is changed from ${has} to ${replicas.length}`);
  return null;
}
