/** Kafka Connect, distributed: two workers share a file source and a file sink, and one takes over when the other dies. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Driver, franzGo } from "../support/driver.ts";
import { cache, kafkaBin } from "../support/paths.ts";
import { freePort, startTarget, type Target } from "../support/target.ts";
import { cleanEnvironment, toolOk } from "../support/tools.ts";
import { until } from "../support/until.ts";

let target: Target;
let client: Driver;
const workers: Worker[] = [];
let input: string;
let output: string;

beforeAll(async () => {
  target = await startTarget();
  client = franzGo.start(target.bootstrap);
  await client.createTopic("lines", 2);
  input = join(target.home, "input.txt");
  output = join(target.home, "output.txt");
  writeFileSync(input, "");
});
afterAll(async () => {
  for (const worker of workers) await worker.kill();
  await client?.close();
  await target?.destroy();
});

class Worker {
  readonly #child: Bun.Subprocess;
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
    const properties = join(target.home, `worker-${port}.properties`);
    const settings = {
      "bootstrap.servers": target.bootstrap,
      "group.id": "connect-cluster",
      "key.converter": "org.apache.kafka.connect.storage.StringConverter",
      "value.converter": "org.apache.kafka.connect.storage.StringConverter",
      "offset.storage.topic": "connect-offsets",
      "offset.storage.replication.factor": "1",
      "offset.storage.partitions": "2",
      "config.storage.topic": "connect-configs",
      "config.storage.replication.factor": "1",
      "status.storage.topic": "connect-status",
      "status.storage.replication.factor": "1",
      "status.storage.partitions": "2",
      "offset.flush.interval.ms": "300",
      "session.timeout.ms": "6000",
      "heartbeat.interval.ms": "500",
      "scheduled.rebalance.max.delay.ms": "1000",
      listeners: `http://127.0.0.1:${port}`,
      "plugin.path": join(cache, "kafka-apps/libs"),
      "plugin.discovery": "service_load",
    };
    writeFileSync(
      properties,
      Object.entries(settings)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    this.#child = Bun.spawn(
      [join(kafkaBin, "kafka-run-class.sh"), "org.apache.kafka.connect.cli.ConnectDistributed", properties],
      {
        stdout: Bun.file(join(target.home, `worker-${port}.log`)),
        stderr: Bun.file(join(target.home, `worker-${port}.err`)),
        env: { ...cleanEnvironment(), QUARKMQ_TEST_CACHE: cache },
      },
    );
  }

  async ask(method: string, path: string, body?: object): Promise<unknown> {
    const headers = { "content-type": "application/json" };
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers };
    const answer = await fetch(`http://127.0.0.1:${this.#port}/${path}`, { method, ...sent });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return await answer.json();
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function startWorker(): Promise<Worker> {
  const worker = new Worker(await freePort());
  workers.push(worker);
  await until("the worker to answer", () => worker.ask("GET", "connectors"), { timeoutMs: 60_000, everyMs: 200 });
  return worker;
}

/** Worker of each task that runs, by connector. */
async function running(worker: Worker): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of ["source", "sink"]) {
    const { tasks } = (await worker.ask("GET", `connectors/${name}/status`)) as { tasks: { state: string; worker_id: string }[] };
    if (tasks[0]?.state === "RUNNING") found[name] = tasks[0].worker_id;
  }
  return found;
}

let lines = 0;
async function passThrough(): Promise<void> {
  const more = Array.from({ length: 50 }, (_, i) => `line ${lines + i}`);
  lines += more.length;
  appendFileSync(input, `${more.join("\n")}\n`);
  await until(
    `${lines} lines to come through`,
    () => {
      const written = existsSync(output) ? new Set(readFileSync(output, "utf8").trim().split("\n")) : new Set();
      return written.size === lines;
    },
    { timeoutMs: 60_000, everyMs: 100 },
  );
}

test("a source and a sink run, and their consumers and workers are groups like others", async () => {
  const worker = await startWorker();
  const kind = (name: string) => `org.apache.kafka.connect.file.FileStream${name}Connector`;
  await worker.ask("PUT", "connectors/source/config", {
    "connector.class": kind("Source"),
    "tasks.max": "1",
    file: input,
    topic: "lines",
  });
  await worker.ask("PUT", "connectors/sink/config", {
    "connector.class": kind("Sink"),
    "tasks.max": "1",
    file: output,
    topics: "lines",
  });
  await passThrough();
  const listed = await toolOk("kafka-groups.sh", ["--bootstrap-server", target.bootstrap, "--list"]);
  expect(listed).toMatch(/^connect-cluster +Classic +connect *$/m);
  expect(listed).toMatch(/^connect-sink +Classic +consumer *$/m);
}, 120_000);

test("a second worker takes its share, and all of it when the first dies", async () => {
  const [first] = workers;
  const second = await startWorker();
  await until("both workers to run something", async () => new Set(Object.values(await running(second))).size === 2, {
    timeoutMs: 60_000,
    everyMs: 200,
  });
  await passThrough();
  await first!.kill();
  await until(
    "the second to run both",
    async () => {
      const at = Object.values(await running(second));
      return at.length === 2 && new Set(at).size === 1;
    },
    { timeoutMs: 60_000, everyMs: 200 },
  );
  await passThrough();
}, 120_000);
