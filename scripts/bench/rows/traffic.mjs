// Rows of plain load: how much goes in and out, at what cost, how late.

import { acksName, BROKERS, count, cpuS, KB, READERS, throughput } from "./shared.mjs";

export function produceRow({ recordBytes, connections, partitions, acks, perRequest = 1, batchBytes = 16384 }) {
  const spread = perRequest > 1 ? `, ${perRequest} batches of ${KB(batchBytes)} a request` : "";
  return {
    id: `produce-${recordBytes}b-${connections}c-${partitions}p-acks${acksName(acks)}${perRequest > 1 ? "-spread" : ""}`,
    title: `${KB(recordBytes)}, ${count(connections, "connection")}, ${count(partitions, "partition")}, acks=${acksName(acks)}${spread}`,
    group: "produce",
    peers: BROKERS,
    show: ["mbPerS", "recordsPerS", "cpuSPerGib"],
    async run(x) {
      const topic = await x.topic(partitions);
      const shape = { recordBytes, batchBytes, batchesPerRequest: perRequest, acks };
      return throughput(await x.load(topic, { ...shape, producers: connections, maxBytes: x.volumeBytes }), "In");
    },
  };
}

export function consumeRow({ recordBytes, connections, partitions }) {
  return {
    id: `consume-${recordBytes}b-${connections}c-${partitions}p`,
    title: `${KB(recordBytes)}, ${count(connections, "connection")}, ${count(partitions, "partition")}`,
    group: "consume",
    peers: READERS,
    show: ["mbPerS", "recordsPerS", "cpuSPerGib"],
    async run(x) {
      const topic = await x.filledTopic(partitions, recordBytes);
      const answer = await x.load(topic, { producers: 0, consumers: connections, again: true, maxBytes: 4 * x.volumeBytes });
      return throughput(answer, "Out");
    },
  };
}

export const mixedRow = ({ recordBytes, connections, partitions }) => ({
  id: `mixed-${recordBytes}b-${connections}c-${partitions}p`,
  title: `${KB(recordBytes)}, ${connections} producing and ${connections} consuming, ${count(partitions, "partition")}, acks=all`,
  group: "mixed",
  peers: BROKERS,
  show: ["mbInPerS", "mbOutPerS", "cpuSPerGib"],
  async run(x) {
    const topic = await x.topic(partitions);
    const r = await x.load(topic, { recordBytes, producers: connections, consumers: connections, maxBytes: 2 * x.volumeBytes });
    return {
      mbInPerS: r.bytesIn / 1e6 / r.seconds,
      mbOutPerS: r.bytesOut / 1e6 / r.seconds,
      cpuSPerGib: cpuS(r) / ((r.bytesIn + r.bytesOut) / 2 ** 30),
    };
  },
});

export const latencyRow = ({ rate, partitions }) => ({
  id: `latency-${rate}-${partitions}p`,
  title: `${rate.toLocaleString("en")} records/s of 1 KiB, ${count(partitions, "partition")}, acks=all`,
  group: "latency",
  peers: BROKERS,
  show: ["p50Ms", "p99Ms", "p999Ms"],
  async run(x) {
    const topic = await x.topic(partitions);
    const times = { warmupMs: 2 * x.warmupMs, durationMs: 2 * x.durationMs };
    const r = await x.load(topic, { recordBytes: 1024, producers: 1, consumers: 1, rate, ...times });
    if (!r.endToEnd) throw new Error("nothing arrived");
    const { p50Ms, p99Ms, p999Ms } = r.endToEnd;
    return { p50Ms, p99Ms, p999Ms, cpuUsPerRequest: (cpuS(r) * 1e6) / r.requestsIn };
  },
});

/** Against the limit: the same frames to a C server; quarkmq keeps to the page cache, as it does. */
export function limitRow(direction, recordBytes, batchBytes, connections, partitions = 1) {
  const batches = `batches of ${KB(batchBytes)}`;
  return {
    id: `limit-${direction}-${recordBytes}b-${batchBytes}-${connections}c${partitions > 1 ? `-${partitions}p` : ""}`,
    title: `${direction}, ${KB(recordBytes)} in ${batches}, ${count(connections, "connection")}, ${count(partitions, "partition")}`,
    group: "limit",
    peers: ["quarkmq-page-cache", "c", "kafka"],
    show: ["cpuMsPerMib", "mbPerS"],
    async run(x) {
      const isProduce = direction === "produce";
      const topic = isProduce ? await x.topic(partitions) : await x.filledTopic(partitions, recordBytes, batchBytes);
      const shape = isProduce
        ? { producers: connections, recordBytes, batchBytes }
        : { producers: 0, consumers: connections, again: true };
      const r = await x.load(topic, { ...shape, maxBytes: isProduce ? x.volumeBytes : 4 * x.volumeBytes });
      const { mbPerS, cpuSPerGib } = throughput(r, isProduce ? "In" : "Out");
      return { mbPerS, cpuMsPerMib: cpuSPerGib / 1.024 };
    },
  };
}
