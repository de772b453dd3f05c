// Makes and removes topics, the same way on every peer: CreateTopics v2, ListOffsets v1 until every partition answers, DeleteTopics v1.

import { connect } from "node:net";

const int8 = (n) => Buffer.from([n & 0xff]);
export const int16 = (n) => Buffer.from([(n >> 8) & 0xff, n & 0xff]);
export const int32 = (n) => {
  const b = Buffer.alloc(4);
  b.writeInt32BE(n);
  return b;
};
const int64 = (n) => {
  const b = Buffer.alloc(8);
  b.writeBigInt64BE(BigInt(n));
  return b;
};
export const string = (s) => Buffer.concat([int16(Buffer.byteLength(s)), Buffer.from(s)]);

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Sends one request and gives the answer's body, behind the correlation id. */
export function call(port, apiKey, apiVersion, body, timeoutMs = 60_000) {
  return new Promise((done, fail) => {
    const socket = connect(port, "127.0.0.1");
    const chunks = [];
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`API ${apiKey}: no answer`)));
    socket.on("error", fail);
    socket.on("close", () => fail(new Error(`API ${apiKey}: connection closed`)));
    socket.on("connect", () => {
      const payload = Buffer.concat([int16(apiKey), int16(apiVersion), int32(1), string("bench"), body]);
      socket.write(Buffer.concat([int32(payload.length), payload]));
    });
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      const all = Buffer.concat(chunks);
      if (all.length < 4 || all.length < 4 + all.readInt32BE(0)) return;
      done(all.subarray(8));
      socket.destroy();
    });
  });
}

/** Whether an ApiVersions v0 request is answered. */
export async function answers(port) {
  try {
    await call(port, 18, 0, Buffer.alloc(0), 2000);
    return true;
  } catch {
    return false;
  }
}

/** The first error of a ListOffsets v1 answer over all partitions of a topic; 0 if there is none. */
async function firstError(port, topic, partitions) {
  const each = Array.from({ length: partitions }, (_, index) => Buffer.concat([int32(index), int64(-1)]));
  const answer = await call(port, 2, 1, Buffer.concat([int32(-1), int32(1), string(topic), int32(partitions), ...each]));
  let at = 4;
  at += 2 + answer.readInt16BE(at) + 4;
  for (let i = 0; i < partitions; i++, at += 22) if (answer.readInt16BE(at + 4) !== 0) return answer.readInt16BE(at + 4);
  return 0;
}

/** Asks for a group's coordinator until there is one: FindCoordinator v0. The first question makes __consumer_offsets. */
export async function findCoordinator(port, group) {
  for (const untilMs = Date.now() + 30_000; ; await sleep(50)) {
    const error = (await call(port, 10, 0, string(group))).readInt16BE(0);
    if (error === 0) return;
    if (Date.now() > untilMs) throw new Error(`no coordinator for ${group}: error ${error}`);
  }
}

/** Makes a topic and waits until each of its partitions can be used. `config`: name → value. */
export async function createTopic(port, topic, partitions, config = {}, timeoutMs = 30_000) {
  const entries = Object.entries(config);
  const settings = entries.flatMap(([name, value]) => [string(name), string(value)]);
  const spec = [string(topic), int32(partitions), int16(1), int32(0), int32(entries.length), ...settings];
  const answer = await call(port, 19, 2, Buffer.concat([int32(1), ...spec, int32(timeoutMs), int8(0)]), 2 * timeoutMs);
  const errorAt = 4 + 4 + 2 + Buffer.byteLength(topic);
  const error = answer.readInt16BE(errorAt);
  if (error !== 0) throw new Error(`the topic ${topic} cannot be made: error ${error}`);
  await untilUsable(port, topic, partitions, timeoutMs);
}

/** Gives a topic more partitions, by CreatePartitions v0, and waits until each of them can be used. */
export async function growTopic(port, topic, partitions, timeoutMs) {
  const spec = [int32(1), string(topic), int32(partitions), int32(-1), int32(timeoutMs), int8(0)];
  const answer = await call(port, 37, 0, Buffer.concat(spec), 2 * timeoutMs);
  const error = answer.readInt16BE(4 + 4 + 2 + Buffer.byteLength(topic));
  if (error !== 0) throw new Error(`the topic ${topic} cannot grow: error ${error}`);
  await untilUsable(port, topic, partitions, timeoutMs);
}

async function untilUsable(port, topic, partitions, timeoutMs) {
  for (const untilMs = Date.now() + timeoutMs; ; await sleep(50)) {
    const wrong = await firstError(port, topic, partitions);
    if (wrong === 0) return;
    if (Date.now() > untilMs) throw new Error(`the topic ${topic} does not come up: error ${wrong}`);
  }
}

/** Changes configs of a topic, by IncrementalAlterConfigs v0. `config`: name → value. */
export async function alterTopic(port, topic, config) {
  const entries = Object.entries(config);
  const changes = entries.flatMap(([name, value]) => [string(name), int8(0), string(value)]);
  const resource = [int8(2), string(topic), int32(entries.length), ...changes];
  const answer = await call(port, 44, 0, Buffer.concat([int32(1), ...resource, int8(0)]));
  const error = answer.readInt16BE(8);
  if (error !== 0) throw new Error(`the configs of ${topic} cannot be changed: error ${error}`);
}

/** Removes a topic. */
export async function deleteTopic(port, topic) {
  await call(port, 20, 1, Buffer.concat([int32(1), string(topic), int32(30_000)]));
}
