// The brokers that are compared, each as a process on the loopback with a directory of its own on a real disk: how they are started,
// stopped, and what they use.

import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { answers, sleep } from "./admin.mjs";
import { binary, kafkaLibs, kafkaSupport, program, scratch } from "./needs.mjs";

/** Where the brokers of this process keep their data. */
const dataRoot = join(scratch, "data", String(process.pid));

/** JVM options of Kafka's own start script; only the heap is ours. */
const KAFKA_JVM = [
  "-server",
  "-XX:+UseG1GC",
  "-XX:MaxGCPauseMillis=20",
  "-XX:InitiatingHeapOccupancyPercent=35",
  "-XX:+ExplicitGCInvokesConcurrent",
  "-Djava.awt.headless=true",
];

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

const quarkmq = (durability) => (peer) => [
  binary,
  ...["--bind", `127.0.0.1:${peer.port}`, "--data-dir", peer.dataDir, "--durability", durability],
  ...["--set", "group.initial.rebalance.delay.ms=0", "--set", "log.cleaner.backoff.ms=200"],
];

const java = (peer) => [
  `-Xms${peer.heap}`,
  `-Xmx${peer.heap}`,
  ...KAFKA_JVM,
  `-Dlog4j2.configurationFile=${join(kafkaSupport, "log4j2.properties")}`,
  "-cp",
  `${kafkaLibs}/*`,
];

const kafka = (settings) => (peer) => {
  const properties = join(peer.home, "server.properties");
  const all = {
    "process.roles": "broker,controller",
    "node.id": "1",
    listeners: `PLAINTEXT://127.0.0.1:${peer.port},CONTROLLER://127.0.0.1:${peer.controllerPort}`,
    "advertised.listeners": `PLAINTEXT://127.0.0.1:${peer.port}`,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "controller.quorum.bootstrap.servers": `127.0.0.1:${peer.controllerPort}`,
    "log.dirs": peer.dataDir,
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.backoff.ms": "200",
    "log.segment.delete.delay.ms": "500", // so that one row's files do not weigh on the next
    ...settings,
  };
  const text = Object.entries(all).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(properties, text.join(""));
  if (!peer.isFormatted) {
    const id = `q${randomBytes(16).toString("base64url").slice(1)}`; // no dash at its start: the tool would take it for an option
    const args = [...java(peer), "kafka.tools.StorageTool", "format", "--standalone", "-t", id, "-c", properties];
    const { status, stderr } = spawnSync("java", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`kafka-storage format: ${stderr}`);
    peer.isFormatted = true;
  }
  return ["java", ...java(peer), "kafka.Kafka", properties];
};

/** Name → title and how its command is made. */
const KINDS = {
  "quarkmq-durable": { title: "quarkmq (durable, its default)", command: quarkmq("sync") },
  "quarkmq-page-cache": { title: "quarkmq (page-cache)", command: quarkmq("page-cache") },
  kafka: { title: "Kafka (its defaults)", command: kafka({}) },
  "kafka-flush": { title: "Kafka (flush.messages=1)", command: kafka({ "log.flush.interval.messages": "1" }) },
  c: { title: "C server (the limit)", command: (peer) => [program("reference"), String(peer.port), peer.dataDir] },
};

/** The environment of a broker: ours without what configures quarkmq or the benchmark. */
export const brokerEnvironment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("QUARKMQ_")));

export const peerNames = Object.keys(KINDS);
export const peerTitle = (name) => KINDS[name].title;

const started = new Set();
/** Kills what runs and removes the data: for the end of the process, however it comes. */
function abandonAll() {
  for (const peer of started) peer.abandon();
  try {
    rmSync(dataRoot, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }); // who was killed may still be writing
  } catch (error) {
    console.error(`bench: ${dataRoot} is left over: ${error.message}`);
  }
}
process.on("exit", abandonAll);

/** One broker. start, stop and kill can be repeated: the directory stays until destroy. */
export class Peer {
  constructor(name, { heap }) {
    this.name = name;
    this.isKafka = name.startsWith("kafka");
    this.heap = heap;
    this.home = join(dataRoot, name);
    this.dataDir = join(this.home, "data");
    this.pid = 0;
    this.isFormatted = false;
    this.child = null;
  }

  async prepare() {
    rmSync(this.home, { recursive: true, force: true });
    mkdirSync(this.dataDir, { recursive: true });
    this.port = await freePort();
    this.controllerPort = await freePort();
    this.command = KINDS[this.name].command(this);
  }

  get log() {
    return join(this.home, "broker.log");
  }

  /** Starts it and waits until it answers. `env`: more environment variables. */
  async start(env = {}) {
    const output = openSync(this.log, "a");
    const [file, ...args] = this.command;
    const stdio = ["ignore", output, output];
    this.child = spawn(file, args, { stdio, env: { ...brokerEnvironment(), ...env }, cwd: this.home });
    closeSync(output);
    this.adopt(this.child.pid);
    let ended = null;
    this.child.on("error", (error) => {
      ended = error;
    });
    this.child.on("exit", (code) => {
      ended = new Error(`exit code ${code}`);
    });
    for (const untilMs = Date.now() + 90_000; this.name !== "c"; await sleep(20)) {
      if (ended) throw new Error(`${this.name} does not start: ${ended.message}\n${readFileSync(this.log, "utf8").slice(-2000)}`);
      if (await answers(this.port)) return;
      if (Date.now() > untilMs) throw new Error(`${this.name} does not answer`);
    }
    await sleep(100);
  }

  /** Takes over a process that first-ack started. */
  adopt(pid) {
    this.pid = pid;
    started.add(this);
  }

  /** Ends the process and waits until it is gone. */
  async end(signal = "SIGTERM") {
    if (this.pid === 0) return;
    const { pid } = this;
    const signalled = (what) => {
      try {
        return process.kill(pid, what);
      } catch {
        return false;
      }
    };
    signalled(signal);
    const isGone = () => !signalled(0) || isWholeZombie(pid);
    for (const untilMs = Date.now() + 40_000; !isGone(); await sleep(10)) if (Date.now() > untilMs) signalled("SIGKILL");
    this.pid = 0;
    started.delete(this);
  }

  async destroy() {
    await this.end(this.name === "c" ? "SIGKILL" : "SIGTERM");
    rmSync(this.home, { recursive: true, force: true });
  }

  abandon() {
    try {
      process.kill(this.pid, "SIGKILL");
    } catch {
      // it is gone
    }
  }

  /** What the process has in memory now, in MiB: its own (anonymous and shared dirty pages), and all that is resident. */
  memory() {
    const status = statusOf(this.pid);
    const kib = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0);
    let sharedDirtyKib = 0;
    try {
      sharedDirtyKib = Number(/^Shared_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${this.pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      // it is gone, or not ours
    }
    return { ownMib: (kib("RssAnon") + sharedDirtyKib) / 1024, residentMib: kib("VmRSS") / 1024 };
  }

  /** Descriptors that it has open. */
  openFiles() {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** CPU seconds since its start. */
  cpu() {
    const stat = readFileSync(`/proc/${this.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { userS: Number(fields[11]) / 100, systemS: Number(fields[12]) / 100 };
  }
}

/** Whether nothing is left of a process but its exit code. A dead first thread is not enough: the others may still hold files. */
function isWholeZombie(pid) {
  try {
    return /^State:\s+Z/m.test(statusOf(pid)) && readdirSync(`/proc/${pid}/task`).length === 1;
  } catch {
    return true;
  }
}

function statusOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "";
  }
}
