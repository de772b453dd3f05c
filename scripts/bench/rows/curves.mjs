// Rows that belong together: the same load while something else grows.

import { createTopic } from "../admin.mjs";
import { throughput } from "./shared.mjs";

/** Cost per request as something grows: idle connections, active ones, partitions. */
export function curveRow(what, n) {
  const shape = { idle: { idle: n, producers: 4 }, active: { producers: n }, partitions: { producers: 4 } }[what];
  const partitions = what === "partitions" ? n : 1;
  const label = { idle: "idle connections beside 4", active: "active connections", partitions: "partitions, 4 connections" }[
    what
  ];
  return {
    id: `curve-${what}-${n}`,
    title: `${n.toLocaleString("en")} ${label}`,
    group: "curves",
    peers: ["quarkmq-page-cache", "kafka"],
    show: ["cpuUsPerRequest", "mbPerS"],
    async run(x) {
      const topic = await x.topic(partitions);
      return throughput(await x.load(topic, { recordBytes: 1024, inFlight: 2, ...shape, maxBytes: x.volumeBytes }), "In");
    },
  };
}

/** The same load on one topic, beside others that are not used. */
export const topicsRow = (n) => ({
  id: `curve-topics-${n}`,
  title: `${n.toLocaleString("en")} topic${n === 1 ? "" : "s"} of one partition, 4 connections to one of them`,
  group: "curves",
  peers: ["quarkmq-page-cache", "kafka"],
  show: ["cpuUsPerRequest", "mbPerS"],
  async run(x) {
    const others = Array.from({ length: n - 1 }, (_, i) => `beside-${i}`);
    for (const name of others) await createTopic(x.peer.port, name, 1);
    x.topics.push(...others);
    await x.untilIdle();
    const topic = await x.topic(1);
    return throughput(await x.load(topic, { recordBytes: 1024, producers: 4, inFlight: 2, maxBytes: x.volumeBytes }), "In");
  },
});

/** One partition that holds ever more, in segments of 16 MiB: what it costs to go on writing, and to read it from its start. */
export const logSizeRow = (mib) => ({
  id: `curve-log-${mib}`,
  title: `a log of ${mib.toLocaleString("en")} MiB: requests that write to it, and bytes that are read`,
  group: "curves",
  peers: ["quarkmq-page-cache", "kafka"],
  show: ["cpuUsPerRequest", "cpuSPerGib", "mbPerS"],
  async run(x) {
    const topic = await x.topic(1, false, { "segment.bytes": String(2 ** 24) });
    const shape = { recordBytes: 1024, producers: 4 };
    await x.load(topic, { ...shape, maxBytes: mib * 2 ** 20, warmupMs: 1, durationMs: 120_000 });
    const written = throughput(await x.load(topic, { ...shape, inFlight: 2, maxBytes: x.volumeBytes / 8 }), "In");
    const reading = { producers: 0, consumers: 4, again: true, maxBytes: 4 * x.volumeBytes };
    const { mbPerS, cpuSPerGib } = throughput(await x.load(topic, reading), "Out");
    return { cpuUsPerRequest: written.cpuUsPerRequest, cpuSPerGib, mbPerS };
  },
});
