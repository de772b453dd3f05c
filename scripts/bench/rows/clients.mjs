// Rows of what users have: tools and libraries as they come, transactions, groups.

import { findCoordinator } from "../admin.mjs";
import { Fleet } from "../members.mjs";
import { BROKERS, count, KB, READERS } from "./shared.mjs";

export const toolRow = (tool, recordBytes) => ({
  id: `tools-${tool}-${recordBytes}b`,
  title: `kafka-${tool === "produce" ? "producer" : "consumer"}-perf-test, ${KB(recordBytes)}, 1 partition`,
  group: "tools",
  peers: tool === "produce" ? BROKERS : READERS,
  show: tool === "produce" ? ["mbPerS", "recordsPerS", "p50Ms", "p99Ms"] : ["mbPerS", "recordsPerS"],
  async run(x) {
    const records = x.toolRecords(recordBytes);
    const topic = tool === "produce" ? await x.topic(1) : await x.filledTopic(1, recordBytes);
    return tool === "produce" ? x.producerPerfTest(topic, records, recordBytes) : x.consumerPerfTest(topic, records);
  },
});

export const librdkafkaRow = (direction, recordBytes, instances, partitions) => ({
  id: `librdkafka-${direction}-${recordBytes}b-${instances}i-${partitions}p`,
  title: `${direction}, ${KB(recordBytes)}, ${count(instances, "instance")}, ${count(partitions, "partition")}${direction === "produce" ? ", acks=all" : ""}`,
  group: "librdkafka",
  peers: direction === "produce" ? BROKERS : READERS,
  show: ["mbPerS", "recordsPerS", "cpuSPerGib"],
  async run(x) {
    const records = x.toolRecords(recordBytes);
    const topic = direction === "produce" ? await x.topic(partitions) : await x.filledTopic(partitions, recordBytes);
    return x.librdkafka(direction, topic, { instances, partitions, recordBytes, records });
  },
});

/** One producer of Java's client, transaction after transaction: a record to each partition, and a commit. */
export const transactionRow = (partitions) => ({
  id: `transactions-${partitions}p`,
  title: `a record to each of ${count(partitions, "partition")}, then commit`,
  group: "transactions",
  peers: BROKERS,
  show: ["transactionsPerS", "p50Ms", "commitP50Ms", "commitP99Ms"],
  async run(x) {
    return x.transactions(await x.topic(partitions), partitions);
  },
});

/** Every member heartbeats once a second, from when it is due to its answer; then the first one joins again. */
export function groupsRow({ groups, members, connections }) {
  const shape = members === 1 ? count(groups, "group") : `one group of ${count(members, "member")}`;
  return {
    id: `groups-${groups}x${members}`,
    title: `${shape}, a heartbeat a second each`,
    group: "groups",
    peers: READERS,
    show: ["joinedS", "p50Ms", "p99Ms", "p999Ms", ...(members === 1 ? [] : ["rebalancedS"]), "cpuUsPerRequest", "ownMib"],
    async run(x) {
      await findCoordinator(x.peer.port, "fleet-0");
      const fleet = new Fleet(x.peer.port, { groups, members, connections });
      try {
        const joinedS = await fleet.join();
        const used = () => x.peer.cpu().userS + x.peer.cpu().systemS;
        const beforeS = used();
        const beats = await fleet.beat(1000, x.durationMs);
        const cpuUsPerRequest = ((used() - beforeS) * 1e6) / beats.count;
        const { ownMib } = x.peer.memory();
        const rebalancedS = members === 1 ? null : await fleet.rebalance(1000);
        await fleet.leave();
        return { joinedS, ...beats, cpuUsPerRequest, rebalancedS, ownMib };
      } finally {
        fleet.disconnect();
      }
    },
  };
}
