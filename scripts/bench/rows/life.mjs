// Rows of a broker's life: idle, loaded, started, started after a crash.

import { createTopic, growTopic } from "../admin.mjs";
import { BROKERS } from "./shared.mjs";

export const idleRow = {
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

export const loadedRow = {
  id: "memory-load",
  title: "the most in any row of this run, sampled four times a second",
  group: "memory",
  peers: BROKERS,
  show: ["ownMib", "residentMib"],
  async run(x) {
    const topic = await x.topic(100);
    await x.load(topic, { recordBytes: 1024, producers: 16, consumers: 16, maxBytes: 2 * x.volumeBytes });
    return x.peakMemory();
  },
};

export const startRow = {
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

export const recoveryRow = {
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

const IDLE_MS = 5000;
const MANY_MS = 300_000;

/** A topic of very many partitions, each with a record: made, started with, idle. */
export const scaleRow = (partitions) => ({
  id: `scale-${partitions}p`,
  title: `${partitions.toLocaleString("en")} partitions: made by two requests; started again after an orderly stop; idle`,
  group: "scale",
  peers: ["quarkmq-durable", "kafka"],
  show: ["createdS", "acknowledgedMs", "ownMib", "residentMib", "idleCpuPercent", "openFiles"],
  ownsPeer: true,
  isOnce: true, // Kafka takes minutes
  async run(x) {
    const beganMs = performance.now();
    await createTopic(x.peer.port, "many", partitions / 2, {}, MANY_MS); // Kafka makes fewer than 10,000 at once
    await growTopic(x.peer.port, "many", partitions, MANY_MS);
    const createdS = (performance.now() - beganMs) / 1000;
    x.partitions = partitions;
    await x.load("many", { warmupMs: 1, durationMs: 1 }); // writes to each of them
    await x.untilIdle();
    await x.peer.end();
    const { acknowledgedMs } = await x.firstAck("many", MANY_MS);
    await x.untilIdle();
    const used = () => x.peer.cpu().userS + x.peer.cpu().systemS;
    const beforeS = used();
    await x.sleep(IDLE_MS);
    const idleCpuPercent = ((used() - beforeS) * 100_000) / IDLE_MS;
    const measured = { createdS, acknowledgedMs, ...x.peer.memory(), idleCpuPercent, openFiles: x.peer.openFiles() };
    await x.peer.end();
    return measured;
  },
});
