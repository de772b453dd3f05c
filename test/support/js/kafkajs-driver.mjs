// The kafkajs driver. gzip is built in; snappy is its own plugin, lz4 and zstd are put in as its manual says to.

import zlib from "node:zlib";
import { lz4Compress, lz4Decompress } from "@platformatic/wasm-utils";
import kafkajs from "kafkajs";
import snappy from "kafkajs-snappy";
import { bytes, Stream, serve, sleep, text } from "./driver-loop.mjs";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel, PartitionAssigners, Partitioners } = kafkajs;
CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4Compress(encoder.buffer),
  decompress: async (buffer) => lz4Decompress(buffer),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => zlib.zstdCompressSync(encoder.buffer),
  decompress: async (buffer) => zlib.zstdDecompressSync(buffer),
});
const TOPIC = 2; // ConfigResourceTypes
const codecs = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

const retry = { initialRetryTime: 100, maxRetryTime: 500, retries: 200 };
const kafka = new Kafka({ clientId: "kafkajs-driver", brokers: [process.argv[2]], logLevel: logLevel.NOTHING, retry });

/** Kafka's own partitioner, which also notes on the message where it goes: send() tells only one base offset per partition. */
function notingPartitioner() {
  const partition = Partitioners.DefaultPartitioner();
  return (args) => {
    args.message.placedIn = partition(args);
    return args.message.placedIn;
  };
}

let plain;
let admin;
let member;
let stream;

async function theAdmin() {
  if (!admin) {
    admin = kafka.admin();
    await admin.connect();
  }
  return admin;
}

const baseOffsets = (results) => new Map(results.map((r) => [r.partition, Number(r.baseOffset)]));

async function produce({ topic, codec, records }) {
  if (!plain) {
    plain = kafka.producer({
      createPartitioner: notingPartitioner,
      allowAutoTopicCreation: true,
      retry: { ...retry, retries: 5 },
    });
    await plain.connect();
  }
  const messages = records.map((r) => ({
    key: bytes(r.key),
    value: bytes(r.value),
    headers: headersOf(r.headers),
    ...(r.partition === null ? {} : { partition: r.partition }),
    ...(r.timestampMs === null ? {} : { timestamp: String(r.timestampMs) }),
  }));
  const next = baseOffsets(await plain.send({ topic, messages, acks: -1, compression: codecs[codec] }));
  const placed = messages.map((m) => {
    const offset = next.get(m.placedIn);
    next.set(m.placedIn, offset + 1);
    return { partition: m.placedIn, offset };
  });
  return { placed };
}

function headersOf(list) {
  const headers = {};
  for (const [name, value] of list) {
    headers[name] = name in headers ? [headers[name], bytes(value)].flat() : bytes(value);
  }
  return headers;
}

function recordOf(partition, message) {
  return {
    partition,
    offset: Number(message.offset),
    timestampMs: Number(message.timestamp),
    key: text(message.key),
    value: text(message.value),
    headers: Object.entries(message.headers ?? {}).flatMap(([name, value]) => [value].flat().map((v) => [name, text(v)])),
  };
}

/** kafkajs has no reading without a group: a group of its own, and a seek in each partition. */
async function read({ topic, from, to }) {
  const wanted = new Map(Object.keys(from).map((p) => [Number(p), to[p]]));
  for (const [p, end] of wanted) if (end <= from[p]) wanted.delete(p);
  const records = [];
  const consumer = kafka.consumer({
    groupId: `read-${process.pid}-${Math.random()}`,
    maxWaitTimeInMs: 100,
    maxBytesPerPartition: 4 << 20,
  });
  const joined = new Promise((done) => consumer.on(consumer.events.GROUP_JOIN, done));
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      const end = wanted.get(partition);
      if (end === undefined || Number(message.offset) >= end) return;
      records.push(recordOf(partition, message));
      if (Number(message.offset) === end - 1) wanted.delete(partition);
    },
  });
  await joined;
  for (const [p, offset] of Object.entries(from)) consumer.seek({ topic, partition: Number(p), offset: String(offset) });
  while (wanted.size > 0) await sleep(10);
  await consumer.disconnect();
  return { records };
}

const transactional = new Map();

async function transact({ transactionalId, instance, topic, values, offsets: commits, ends }) {
  const key = `${transactionalId} ${instance}`;
  if (!transactional.has(key)) {
    const options = { transactionalId, transactionTimeout: 10_000, idempotent: true, maxInFlightRequests: 1 };
    const producer = kafka.producer({ ...options, retry: { ...retry, retries: 10 } });
    await producer.connect();
    transactional.set(key, producer);
  }
  const transaction = await transactional.get(key).transaction();
  for (const [partition, value] of values) await transaction.send({ topic, acks: -1, messages: [{ partition, value }] });
  if (commits !== null) {
    const partitions = [{ partition: 0, offset: String(commits.offset) }];
    await transaction.sendOffsets({ consumerGroupId: commits.group, topics: [{ topic, partitions }] });
  }
  if (ends === "commit") await transaction.commit();
  else if (ends === "abort") await transaction.abort();
}

async function committed({ topic, count }) {
  const records = [];
  const consumer = kafka.consumer({ groupId: `committed-${process.pid}-${Math.random()}`, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  let quietAt = Date.now() + 1000;
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      records.push(recordOf(partition, message));
      quietAt = Date.now() + 1000;
    },
  });
  while (records.length < count || Date.now() < quietAt) await sleep(20);
  await consumer.disconnect();
  return { records };
}

async function offsets({ topic, at }) {
  const a = await theAdmin();
  const list = typeof at === "number" ? await a.fetchTopicOffsetsByTimestamp(topic, at) : await a.fetchTopicOffsets(topic);
  return { offsets: Object.fromEntries(list.map((o) => [o.partition, Number(at === "earliest" ? o.low : o.offset)])) };
}

/** kafkajs's own round robin under the name that all others use. */
function roundRobinForAll(context) {
  const { assign, protocol } = PartitionAssigners.roundRobin(context);
  return { name: "roundrobin", version: 0, assign, protocol };
}

async function join({ topic, group, sessionTimeoutMs, roundRobin }) {
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTimeInMs: 100,
    ...(roundRobin && { partitionAssigners: [roundRobinForAll] }),
  });
  member = { consumer, topic, partitions: [], records: [], next: new Map(), fault: "" };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.partitions = payload.memberAssignment[topic] ?? [];
  });
  consumer.on(consumer.events.REBALANCING, () => {
    member.partitions = [];
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    member.fault = payload.error.message;
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      member.records.push(recordOf(partition, message));
      member.next.set(partition, Number(message.offset) + 1);
    },
  });
}

async function commit() {
  const { topic, next, partitions, consumer } = member;
  const list = [...next].filter(([p]) => partitions.includes(p));
  await consumer.commitOffsets(list.map(([partition, offset]) => ({ topic, partition, offset: String(offset) })));
}

async function streamStart({ topic, partitions }) {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  stream = new Stream(partitions, async (messages) => baseOffsets(await producer.send({ topic, messages, acks: -1 })));
}

/** Gives a topic more partitions, and asks for all that the client can about its first one. */
async function administer({ topic, partitions }) {
  const admin = await theAdmin();
  await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] });
  const cancelled = await admin
    .alterPartitionReassignments({ topics: [{ topic, partitionAssignment: [{ partition: 0, replicas: [1] }] }] })
    .then(() => "NONE");
  const { topics } = await admin.listPartitionReassignments({ topics: [{ topic, partitions: [0] }] });
  return { reassigned: cancelled, reassignments: topics.length };
}

serve({
  administer,
  createTopic: async ({ topic, partitions, configs }) => {
    const configEntries = Object.entries(configs ?? {}).map(([name, value]) => ({ name, value }));
    await (await theAdmin()).createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
  },
  topicConfig: async ({ topic, name }) => {
    const { resources } = await (await theAdmin()).describeConfigs({ resources: [{ type: TOPIC, name: topic }] });
    return { value: resources[0].configEntries.find((entry) => entry.configName === name)?.configValue ?? null };
  },
  // Replaces all: kafkajs knows AlterConfigs only.
  setTopicConfig: async ({ topic, name, value }) => {
    const resources = [{ type: TOPIC, name: topic, configEntries: [{ name, value }] }];
    await (await theAdmin()).alterConfigs({ validateOnly: false, resources });
  },
  produce,
  read,
  transact,
  committed,
  offsets,
  join,
  member: async () => ({ partitions: member.partitions, records: member.records, fault: member.fault }),
  commit,
  leave: () => member.consumer.disconnect(),
  streamStart,
  streamStatus: async () => stream.status(),
  streamStop: () => stream.stop(),
});
