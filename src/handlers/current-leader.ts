/** KIP-951: who leads a partition, told to a client that asked the wrong broker or knows an older epoch. Source: KafkaApis.getCurrentLeader. */
import type { Broker, LocalAddress } from "../broker/broker.ts";
import type { Partition } from "../broker/partition.ts";
import { brokerNodes } from "../broker/topics-nodes.ts";

type Node = ReturnType<typeof brokerNodes>[number];

/** By the metadata; -1 where there is nobody. A broker that stops, or whose topic is gone, has nothing to say: null. */
export function currentLeader(broker: Broker, partition: Partition | null): { leaderId: number; leaderEpoch: number } | null {
  if (partition === null || partition.closedWith !== null) return null;
  const known = broker.image.topicById(partition.topicId)?.partitions[partition.index];
  return { leaderId: known?.leader ?? -1, leaderEpoch: partition.leaderEpoch };
}

/** The addresses of some brokers, once each; those that are not registered have none. */
export function leaderNodes(broker: Broker, connection: LocalAddress, leaderIds: ReadonlySet<number>): Node[] {
  return leaderIds.size === 0 ? [] : brokerNodes(broker, connection).filter(({ nodeId }) => leaderIds.has(nodeId));
}
