// The rows of the benchmark: what is asked of every peer, in groups that can be run alone. A row's `run` gets what it needs in a
// context (context.mjs) and returns its metrics as numbers.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { alterTopic, findCoordinator } from "./admin.mjs";
import { fillKeyed } from "./keyed.mjs";
import { Fleet } from "./members.mjs";

const KB = (bytes) => (bytes === 100 ? "100 B" : `${bytes / 1024} KiB`);
const acksName = (acks) => (acks === -1 ? "all" : String(acks));
const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

/** Metric → how it is shown. `better`: which way is good; ratios are always "ours / theirs". */
export const metrics = {
  mbPerS: { title: "MB/s", better: "higher", digits: 0 },
  recordsPerS: { title: "records/s", better: "higher", digits: 0 },
  cpuSPerGib: { title: "CPU s/GiB", better: "lower", digits: 2 },
  cpuMsPerMib: { title: "CPU ms/MiB", better: "lower", digits: 3 },
  cpuUsPerRequest: { title: "CPU µs/request", better: "lower", digits: 1 },
  mbInPerS: { title: "MB/s in", better: "higher", digits: 0 },
  mbOutPerS: { title: "MB/s out", better: "higher", digits: 0 },
  p50Ms: { title: "p50 ms", better: "lower", digits: 2 },
  p99Ms: { title: "p99 ms", better: "lower", digits: 2 },
  transactionsPerS: { title: "transactions/s", better: "higher", digits: 0 },
  commitP50Ms: { title: "commit p50 ms", better: "lower", digits: 2 },
  commitP99Ms: { title: "commit p99 ms", better: "lower", digits: 2 },
  p999Ms: { title: "p99.9 ms", better: "lower", digits: 2 },
  ownMib: { title: "own MiB", better: "lower", digits: 0 },
  residentMib: { title: "VmRSS MiB", better: "lower", digits: 0 },
  connectedMs: { title: "connected ms", better: "lower", digits: 1 },
  acknowledgedMs: { title: "acknowledged ms", better: "lower", digits: 1 },
  joinedS: { title: "all joined s", better: "lower", digits: 2 },
  rebalancedS: { title: "all rejoined s", better: "lower", digits: 2 },
};

const cpuS = (r) => r.cpuUserS + r.cpuSystemS;

/** Metrics of a run that only wrote, or only read. */
function throughput(r, direction) {
  const [bytes, records, requests] = [r[`bytes${direction}`], r[`records${direction}`], r[`requests${direction}`]];
  if (bytes === 0) throw new Error(`nothing came through within ${r.seconds} s`);
  return {
    mbPerS: bytes / 1e6 / r.seconds,
    recordsPerS: records / r.seconds,
    cpuSPerGib: cpuS(r) / (bytes / 2 ** 30),
    cpuUsPerRequest: (cpuS(r) * 1e6) / requests,
    ...(r.acknowledged && { p50Ms: r.acknowledged.p50Ms, p99Ms: r.acknowledged.p99Ms }),
  };
}

const BROKERS = ["quarkmq-durable", "quarkmq-page-cache", "kafka", "kafka-flush"];
/** flush.messages changes nothing for who only reads. */
const READERS = ["quarkmq-durable", "quarkmq-page-cache", "kafka"];

function produceRow({ recordBytes, connections, partitions, acks, perRequest = 1, batchBytes = 16384 }) {
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

function consumeRow({ recordBytes, connections, partitions }) {
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

const mixedRow = ({ recordBytes, connections, partitions }) => ({
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

const latencyRow = ({ rate, partitions }) => ({
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

/** Every member heartbeats once a second, from when it is due to its answer; then the first one joins again. */
function groupsRow({ groups, members, connections }) {
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

const idleRow = {
  id: "memory-idle",
  title: "idle, 3 s after its start",
  group: "memory",
  peers: [...BROKERS],
  show: ["ownMib", "residentMib"],
  isFirst: true,
  async run(x) {
    await x.sleep(3000);
    return x.peer.memory();
  },
};

const loadedRow = {
  id: "memory-load",
  title: "the most in any row of this run, sampled four times a second",
  group: "memory",
  peers: BROKERS,
  show: ["ownMib", "residentMib"],
  isLast: true,
  async run(x) {
    const topic = await x.topic(100);
    await x.load(topic, { recordBytes: 1024, producers: 16, consumers: 16, maxBytes: 2 * x.volumeBytes });
    return x.peakMemory();
  },
};

const startRow = {
  id: "start",
  title: "exec → first acknowledged produce, a topic is there",
  group: "start",
  peers: BROKERS,
  show: ["connectedMs", "acknowledgedMs"],
  ownsPeer: true,
  async run(x) {
    const topic = await x.topic(1);
    await x.peer.end();
    const runs = [];
    for (let i = 0; i < (x.peer.isKafka ? 2 : 8); i++) {
      runs.push(await x.firstAck(topic));
      await x.peer.end();
    }
    await x.peer.start();
    return x.medianOf(runs);
  },
};

const recoveryRow = {
  id: "recovery",
  title: "exec → first acknowledged produce after kill -9, one partition of 1 GiB",
  group: "recovery",
  peers: ["quarkmq-durable", "quarkmq-page-cache", "kafka"],
  show: ["acknowledgedMs"],
  ownsPeer: true,
  async run(x) {
    const topic = await x.topic(1);
    await x.load(topic, { producers: 1, recordBytes: 1024, maxBytes: 2 ** 30, warmupMs: 1, durationMs: 120_000 });
    await x.peer.end("SIGKILL");
    const first = await x.firstAck(topic);
    await x.peer.end();
    await x.peer.start();
    return first;
  },
};

/** Against the limit: the same frames to a C server; quarkmq keeps to the page cache, as it does. */
function limitRow(direction, recordBytes, batchBytes, connections) {
  const batches = `batches of ${KB(batchBytes)}`;
  return {
    id: `limit-${direction}-${recordBytes}b-${batchBytes}-${connections}c`,
    title: `${direction}, ${KB(recordBytes)} in ${batches}, ${count(connections, "connection")}`,
    group: "limit",
    peers: ["quarkmq-page-cache", "c", "kafka"],
    show: ["cpuMsPerMib", "mbPerS"],
    async run(x) {
      const isProduce = direction === "produce";
      const topic = isProduce ? await x.topic(1) : await x.filledTopic(1, recordBytes, batchBytes);
      const shape = isProduce
        ? { producers: connections, recordBytes, batchBytes }
        : { producers: 0, consumers: connections, again: true };
      const r = await x.load(topic, { ...shape, maxBytes: isProduce ? x.volumeBytes : 4 * x.volumeBytes });
      const { mbPerS, cpuSPerGib } = throughput(r, isProduce ? "In" : "Out");
      return { mbPerS, cpuMsPerMib: cpuSPerGib / 1.024 };
    },
  };
}

/** Cost per request as something grows: idle connections, active ones, partitions. */
function curveRow(what, n) {
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

/** What a topic with a compression of its own costs: the producer sends text without compression. */
function compressionRow(type, level, batchBytes) {
  const config = { "compression.type": type, ...(level !== null && { [`compression.${type}.level`]: String(level) }) };
  return {
    id: `compression-${type}${level === null ? "" : level}-${batchBytes}`,
    title: `${type}${level === null ? "" : `, level ${level}`}, batches of ${KB(batchBytes)}`,
    group: "compression",
    peers: ["quarkmq-page-cache", "kafka"],
    show: ["cpuMsPerMib", "mbPerS"],
    async run(x) {
      const topic = await x.topic(4, false, config);
      const shape = { recordBytes: 1024, batchBytes, producers: 4, text: true, maxBytes: x.volumeBytes };
      const { mbPerS, cpuSPerGib } = throughput(await x.load(topic, shape), "In");
      return { mbPerS, cpuMsPerMib: cpuSPerGib / 1.024 };
    },
  };
}

/** The defaults first; as it came, for comparison. */
const COMPRESSIONS = [
  ["producer", null],
  ["gzip", -1],
  ["snappy", null],
  ["lz4", 9],
  ["zstd", 3],
];
const MORE_COMPRESSIONS = [
  ["gzip", 1],
  ["gzip", 9],
  ["lz4", 1],
  ["lz4", 12],
  ["zstd", 1],
  ["zstd", 9],
  ["zstd", 19],
];

/** How fast a log is compacted, what that takes, and what clients notice of it: a slow, steady load goes on beside it. */
const compactionRow = ({ keys, records, valueBytes }) => ({
  id: `compaction-${keys}`,
  title: `${records.toLocaleString("en")} records of ${valueBytes} B, ${keys.toLocaleString("en")} keys; 1,000 records/s go on beside it`,
  group: "compaction",
  peers: ["quarkmq-durable", "quarkmq-page-cache", "kafka"],
  show: ["mbPerS", "recordsPerS", "ownMib", "p50Ms", "p99Ms"],
  async run(x) {
    const topic = await x.topic(1, false, { "segment.bytes": String(64 * 2 ** 20), "min.cleanable.dirty.ratio": "0.01" });
    await fillKeyed(x.peer.port, topic, { records, keys, valueBytes });
    const before = segmentBytes(x.peer, topic);
    const live = await x.topic(1);
    const shape = { recordBytes: 1024, producers: 1, consumers: 1, rate: 1000, durationMs: COMPACTION_MS };
    const beside = x.load(live, shape);
    await x.sleep(x.warmupMs + 500);
    const beganMs = performance.now();
    await alterTopic(x.peer.port, topic, { "cleanup.policy": "compact" });
    let ownMib = 0;
    for (; !isCompacted(x.peer, topic); await x.sleep(20)) {
      ownMib = Math.max(ownMib, x.peer.memory().ownMib);
      if (performance.now() - beganMs > COMPACTION_MS) throw new Error("not compacted in time");
    }
    const seconds = (performance.now() - beganMs) / 1000;
    const { p50Ms, p99Ms } = (await beside).endToEnd;
    return { mbPerS: before / 1e6 / seconds, recordsPerS: records / seconds, ownMib, p50Ms, p99Ms };
  },
});

const COMPACTION_MS = 20_000;

const directoryOf = (peer, topic) => join(peer.dataDir, `${topic}-0`);

const segmentBytes = (peer, topic) =>
  readdirSync(directoryOf(peer, topic))
    .filter((name) => name.endsWith(".log"))
    .reduce((bytes, name) => bytes + statSync(join(directoryOf(peer, topic), name)).size, 0);

/** By what each broker writes down when it is done. */
function isCompacted(peer, topic) {
  const [file, done] = peer.isKafka
    ? [join(peer.dataDir, "cleaner-offset-checkpoint"), new RegExp(`^${topic} 0 [1-9]`, "m")]
    : [join(directoryOf(peer, topic), "quarkmq-compaction"), /^firstDirtyOffset: [1-9]/m];
  return existsSync(file) && done.test(readFileSync(file, "utf8"));
}

const toolRow = (tool, recordBytes) => ({
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

const librdkafkaRow = (direction, recordBytes, instances, partitions) => ({
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
const transactionRow = (partitions) => ({
  id: `transactions-${partitions}p`,
  title: `a record to each of ${count(partitions, "partition")}, then commit`,
  group: "transactions",
  peers: BROKERS,
  show: ["transactionsPerS", "p50Ms", "commitP50Ms", "commitP99Ms"],
  async run(x) {
    return x.transactions(await x.topic(partitions), partitions);
  },
});

const product = (shape) =>
  Object.entries(shape).reduce(
    (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );

/** Every row; `isQuick`: the corners only. */
export function allRows(isQuick) {
  const produce = isQuick
    ? [
        { recordBytes: 1024, connections: 1, partitions: 1, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 1, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 100, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 1000, acks: -1 },
        { recordBytes: 100, connections: 1, partitions: 1, acks: -1 },
        { recordBytes: 100, connections: 16, partitions: 1000, acks: -1 },
      ]
    : product({ recordBytes: [100, 1024], connections: [1, 16], partitions: [1, 100, 1000], acks: [1, -1] });
  produce.push({ recordBytes: 100, connections: 16, partitions: 1000, acks: -1, perRequest: 50, batchBytes: 1024 });
  const consume = isQuick
    ? [
        { recordBytes: 1024, connections: 1, partitions: 1 },
        { recordBytes: 1024, connections: 16, partitions: 100 },
        { recordBytes: 1024, connections: 16, partitions: 1000 },
        { recordBytes: 100, connections: 16, partitions: 1 },
      ]
    : product({ recordBytes: [100, 1024], connections: [1, 16], partitions: [1, 100, 1000] });
  const ifFull = (...rows) => (isQuick ? [] : rows);
  return [
    idleRow,
    ...produce.map(produceRow),
    ...consume.map(consumeRow),
    mixedRow({ recordBytes: 1024, connections: 8, partitions: 100 }),
    ...ifFull(mixedRow({ recordBytes: 100, connections: 8, partitions: 100 })),
    ...product({ rate: [1000, 10_000], partitions: isQuick ? [1] : [1, 100] }).map(latencyRow),
    toolRow("produce", 1024),
    toolRow("consume", 1024),
    ...ifFull(toolRow("produce", 100), toolRow("consume", 100)),
    librdkafkaRow("produce", 1024, 1, 1),
    librdkafkaRow("consume", 1024, 1, 1),
    ...ifFull(...[100, 1024].flatMap((bytes) => ["produce", "consume"].map((d) => librdkafkaRow(d, bytes, 16, 100)))),
    ...ifFull(...["produce", "consume"].map((d) => librdkafkaRow(d, 100, 1, 1))),
    ...[1, 10, 100].map(transactionRow),
    ...[1024, 16384, 262144].map((bytes) => limitRow("produce", 1024, bytes, 16)),
    limitRow("produce", 100, 16384, 16),
    ...ifFull(limitRow("produce", 1024, 16384, 1)),
    limitRow("consume", 1024, 16384, 1),
    limitRow("consume", 1024, 16384, 16),
    limitRow("consume", 100, 16384, 16),
    ...[16384, 262144].flatMap((bytes) => COMPRESSIONS.map(([type, level]) => compressionRow(type, level, bytes))),
    ...ifFull(...MORE_COMPRESSIONS.map(([type, level]) => compressionRow(type, level, 262144))),
    ...[1, 10, 100, 1000].map((n) => curveRow("partitions", n)),
    ...[0, 1000, 9900].map((n) => curveRow("idle", n)),
    ...[1, 10, 100, 1000].map((n) => curveRow("active", n)),
    compactionRow({ keys: 50_000, records: 500_000, valueBytes: 900 }),
    ...ifFull(compactionRow({ keys: 500_000, records: 1_000_000, valueBytes: 50 })),
    groupsRow({ groups: 1, members: 1000 }),
    groupsRow({ groups: 5000, members: 1, connections: 250 }),
    startRow,
    recoveryRow,
    loadedRow,
  ];
}

export const groups = [
  "produce",
  "consume",
  "mixed",
  "latency",
  "memory",
  "start",
  "recovery",
  "limit",
  "compression",
  "compaction",
  "tools",
  "librdkafka",
  "transactions",
  "curves",
  "groups",
];
