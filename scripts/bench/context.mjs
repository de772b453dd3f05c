// What a row works with: topics, the clients, and samples of the broker's memory while a client runs.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createTopic, deleteTopic, sleep } from "./admin.mjs";
import { kafkaLibs, kafkaSupport, program, root } from "./needs.mjs";
import { brokerEnvironment } from "./peers.mjs";
import { median } from "./statistics.mjs";

const SAMPLE_MS = 250;
const REMOVAL_MS = 20_000;
const SETTLE_MS = 20_000;
/** From so many partitions on, making a topic keeps a broker busy for a while. */
const MANY_PARTITIONS = 100;

/** Runs a client to its end and gives what it printed; throws with its errors. */
function runClient(command, args, env = process.env) {
  return new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env });
    let [out, errors] = ["", ""];
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (errors += text));
    child.on("error", fail);
    child.on("close", (code) => (code === 0 ? done(out) : fail(new Error(`${errors || out}`.trim().slice(-500)))));
  });
}

const flag = (name) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** One peer's context over a round. `sizes`: warmupMs, durationMs, volumeBytes, fillBytes, toolBytes. */
export class Context {
  constructor(peer, sizes) {
    this.peer = peer;
    Object.assign(this, sizes);
    this.topics = [];
    this.filled = new Map();
    this.forgetPeak();
    this.made = 0;
    this.sleep = sleep;
  }

  /** A new topic, removed after the row. The next load is told its number of partitions. `config`: its configs, by name. */
  async topic(partitions, isKept = false, config = {}) {
    const name = `t${++this.made}`;
    if (this.peer.name !== "c") await createTopic(this.peer.port, name, partitions, config);
    if (!isKept) this.topics.push(name);
    this.partitions = partitions;
    if (partitions >= MANY_PARTITIONS) {
      await this.load(name, { warmupMs: 1, durationMs: 1 }); // writes to each of them
      await this.untilIdle();
    }
    return name;
  }

  /** Waits until the broker does next to nothing: what it does behind a new topic (Kafka: checkpoints of each partition) is done. */
  async untilIdle() {
    const cpuS = () => this.peer.cpu().userS + this.peer.cpu().systemS;
    let before = cpuS();
    for (const untilMs = Date.now() + SETTLE_MS; Date.now() < untilMs; ) {
      await sleep(500);
      const now = cpuS();
      if (now - before < 0.05) return;
      before = now;
    }
  }

  /** A topic with records in it: `fillBytes`, or what a tool reads. Kept as long as rows want the same one. */
  async filledTopic(partitions, recordBytes, batchBytes = 16384) {
    const key = `${partitions} ${recordBytes} ${batchBytes}`;
    if (!this.filled.has(key)) {
      await this.dropFilled();
      const name = await this.topic(partitions, true);
      this.filled.set(key, name);
      const shape = { producers: Math.min(4, partitions), recordBytes, batchBytes };
      await this.load(name, { ...shape, maxBytes: this.fillBytes, warmupMs: 1, durationMs: 120_000 });
    }
    this.partitions = partitions;
    return this.filled.get(key);
  }

  async dropFilled() {
    for (const name of this.filled.values()) this.topics.push(name);
    this.filled.clear();
    await this.afterRow();
  }

  /** Removes the row's topics. */
  async afterRow() {
    for (const name of this.topics.splice(0)) {
      if (this.peer.name !== "c" && this.peer.pid !== 0) await deleteTopic(this.peer.port, name).catch(() => {});
    }
    // All brokers remove files in the background: one row's must not weigh on the next.
    const isRemoving = () => readdirSync(this.peer.dataDir).some((entry) => entry.endsWith("-delete"));
    for (const untilMs = Date.now() + REMOVAL_MS; isRemoving() && Date.now() < untilMs; ) await sleep(50);
  }

  /** Runs our own client (native/load.c) on a topic. */
  async load(topic, shape) {
    const { port, pid } = this.peer;
    const times = { warmupMs: this.warmupMs, durationMs: this.durationMs };
    const all = { port, pid, topic, partitions: this.partitions, ...times, ...shape };
    const args = Object.entries(all).flatMap(([name, value]) => (value === true ? [flag(name)] : [flag(name), String(value)]));
    return JSON.parse(await this.watched(() => runClient(program("load"), args)));
  }

  /** Samples the broker's memory while `work` runs. */
  async watched(work) {
    const look = () => {
      const now = this.peer.memory();
      for (const peak of [this.peak, this.rowPeak])
        for (const name of Object.keys(now)) peak[name] = Math.max(peak[name], now[name]);
    };
    const timer = setInterval(look, SAMPLE_MS);
    try {
      return await work();
    } finally {
      clearInterval(timer);
    }
  }

  /** The most of everything since the broker was warm. */
  peakMemory() {
    return this.peak;
  }

  /** The most since the last call, for one row. */
  takeRowPeak() {
    const peak = this.rowPeak;
    this.rowPeak = { ownMib: 0, residentMib: 0 };
    return peak;
  }

  forgetPeak() {
    this.peak = { ownMib: 0, residentMib: 0 };
    this.takeRowPeak();
  }

  /** Starts the peer, which is down, and measures until it acknowledges. The peer is up afterwards. */
  async firstAck(topic, timeoutMs = 120_000) {
    const args = [String(this.peer.port), topic, String(timeoutMs), this.peer.log, ...this.peer.command];
    const { pid, connectedMs, acknowledgedMs } = JSON.parse(await runClient(program("first-ack"), args, brokerEnvironment()));
    this.peer.adopt(pid);
    return { connectedMs, acknowledgedMs };
  }

  /** The median of each metric. */
  medianOf(runs) {
    return Object.fromEntries(Object.keys(runs[0]).map((name) => [name, median(runs.map((run) => run[name]))]));
  }

  /** How many records a tool writes or reads. */
  toolRecords(recordBytes) {
    return Math.floor(this.toolBytes / (recordBytes + 12));
  }

  tool(script, args) {
    const env = { ...process.env, KAFKA_HEAP_OPTS: "-Xmx512m" };
    return this.watched(() => runClient(join(kafkaSupport, "bin", script), args, env));
  }

  async producerPerfTest(topic, records, recordBytes) {
    const bootstrap = `bootstrap.servers=127.0.0.1:${this.peer.port}`;
    const size = ["--num-records", String(records), "--record-size", String(recordBytes)];
    const out = await this.tool("kafka-producer-perf-test.sh", [
      ...["--topic", topic, "--throughput", "-1", ...size, "--producer-props", bootstrap, "acks=all"],
    ]);
    const last = out.trim().split("\n").at(-1);
    const [, perS, p50, , p99] = /([\d.]+) records\/sec.* (\d+) ms 50th, (\d+) ms 95th, (\d+) ms 99th/.exec(last) ?? [];
    if (perS === undefined) throw new Error(`not understood: ${last}`);
    return { mbPerS: (Number(perS) * recordBytes) / 1e6, recordsPerS: Number(perS), p50Ms: Number(p50), p99Ms: Number(p99) };
  }

  async consumerPerfTest(topic, records) {
    const bootstrap = ["--bootstrap-server", `127.0.0.1:${this.peer.port}`];
    const out = await this.tool("kafka-consumer-perf-test.sh", [
      ...[...bootstrap, "--topic", topic, "--messages", String(records), "--timeout", "60000", "--hide-header"],
    ]);
    const last = out
      .trim()
      .split("\n")
      .at(-1)
      .split(",")
      .map((field) => field.trim());
    const seconds = Number(last[7]) / 1000; // fetch.time.ms: without joining the group
    const [megabytes, read] = [Number(last[2]) * 1.048576, Number(last[4])];
    if (!(seconds > 0)) throw new Error(`not understood: ${last.join(",")}`);
    return { mbPerS: megabytes / seconds, recordsPerS: read / seconds };
  }

  async transactions(topic, partitions) {
    const source = join(root, "scripts/bench/native/Transactions.java");
    const times = [String(this.warmupMs), String(this.durationMs)];
    const args = ["-Xmx512m", "-cp", join(kafkaLibs, "*"), source, String(this.peer.port), topic, String(partitions), ...times];
    const out = await this.watched(() => runClient("java", args, process.env));
    const { transactions, seconds, ...latencies } = JSON.parse(out.trim().split("\n").at(-1));
    return { transactionsPerS: transactions / seconds, ...latencies };
  }

  async librdkafka(direction, topic, { instances, partitions, recordBytes, records }) {
    const port = String(this.peer.port);
    const args = direction === "produce" ? [recordBytes, records, "all"] : [partitions, records];
    const before = this.peer.cpu();
    const out = await this.watched(() =>
      runClient(program("librdkafka"), [direction, port, topic, String(instances), ...args.map(String)]),
    );
    const after = this.peer.cpu();
    const r = JSON.parse(out);
    const cpuS = after.userS + after.systemS - before.userS - before.systemS;
    return { mbPerS: r.bytes / 1e6 / r.seconds, recordsPerS: r.records / r.seconds, cpuSPerGib: cpuS / (r.bytes / 2 ** 30) };
  }
}
