/**
 * The broker under test: the compiled binary, or a real Apache Kafka when QUARKMQ_E2E_TARGET=kafka, which is how the tests
 * themselves are proven. Both run on a free port of the loopback with a data directory of their own under .cache/data.
 */

import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { binary, cache, kafkaBin } from "./paths.ts";
import { cleanEnvironment } from "./tools.ts";
import { GivenUp, sleep, until } from "./until.ts";

export type TargetKind = "binary" | "kafka";

/** What this run tests. */
export const targetKind: TargetKind = process.env.QUARKMQ_E2E_TARGET === "kafka" ? "kafka" : "binary";

/** Server options under Kafka's own names, such as "log.segment.bytes". */
export type Settings = Record<string, string>;

/** What nearly every test wants: groups that start at once, as with Kafka's own quick-start configuration. */
const baseSettings: Settings = { "group.initial.rebalance.delay.ms": "0" };

/** A port that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export interface TargetOptions {
  kind?: TargetKind;
  settings?: Settings;
  /** The address to listen on; default: the loopback. Only for the binary, as the next two. */
  bind?: string;
  /** More arguments. */
  args?: string[];
  /** More environment variables. */
  env?: Record<string, string>;
  /** Default: a new empty directory. A given one is not removed by destroy(). */
  dataDir?: string;
}

/** One broker process and its directory. It can be stopped, killed and started again on the same port and directory. */
export class Target {
  readonly kind: TargetKind;
  readonly port: number;
  readonly home: string;
  readonly dataDir: string;
  readonly settings: Settings;
  readonly #options: TargetOptions;
  #child: Bun.Subprocess | null = null;

  constructor(port: number, options: TargetOptions) {
    this.#options = options;
    this.kind = options.kind ?? targetKind;
    this.port = port;
    this.home = join(cache, "data", `${this.kind}-${port}-${Date.now().toString(36)}`);
    this.dataDir = options.dataDir ?? join(this.home, "data");
    this.settings = { ...baseSettings, ...options.settings };
    mkdirSync(this.home, { recursive: true });
  }

  get bootstrap(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  /** The exit code of the process, once it has ended by itself or by a stop or kill. */
  get ended(): Promise<number> {
    return this.#child?.exited ?? Promise.reject(new Error("the broker is not running"));
  }

  /** Everything that the broker has printed, over all its starts. */
  log(): string {
    try {
      return readFileSync(join(this.home, "broker.log"), "utf8");
    } catch {
      return "";
    }
  }

  /** Starts the process and waits until it answers. */
  async start(): Promise<void> {
    if (this.kind === "binary" && !existsSync(binary)) throw new Error(`there is no ${binary}: npm run build`);
    const { command, env } = this.kind === "kafka" ? await this.#kafkaCommand() : this.#binaryCommand();
    const output = openSync(join(this.home, "broker.log"), "a");
    this.#child = Bun.spawn(command, { stdin: "ignore", stdout: output, stderr: output, env, cwd: this.home });
    closeSync(output);
    await until(
      `${this.kind} on port ${this.port} to answer`,
      () => {
        if (this.#child?.exitCode !== null) throw new GivenUp(`the broker exited: ${this.#child?.exitCode}\n${this.log()}`);
        return answers(this.port);
      },
      { timeoutMs: 60_000 },
    );
  }

  #binaryCommand(): { command: string[]; env: Record<string, string> } {
    const env = cleanEnvironment();
    const options = Object.entries(this.settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
    const { bind = this.bootstrap, args = [] } = this.#options;
    Object.assign(env, this.#options.env);
    return { command: [binary, "--bind", bind, "--data-dir", this.dataDir, ...options, ...args], env };
  }

  async #kafkaCommand(): Promise<{ command: string[]; env: Record<string, string> }> {
    const env = { ...(process.env as Record<string, string>), KAFKA_HEAP_OPTS: "-Xmx512m" };
    const properties = join(this.home, "server.properties");
    if (!(await Bun.file(properties).exists())) {
      const controller = await freePort();
      writeFileSync(
        properties,
        Object.entries({
          "process.roles": "broker,controller",
          "node.id": "1",
          listeners: `PLAINTEXT://${this.bootstrap},CONTROLLER://127.0.0.1:${controller}`,
          "advertised.listeners": `PLAINTEXT://${this.bootstrap}`,
          "controller.listener.names": "CONTROLLER",
          "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
          "controller.quorum.bootstrap.servers": `127.0.0.1:${controller}`,
          "log.dirs": this.dataDir,
          "offsets.topic.replication.factor": "1",
          "transaction.state.log.replication.factor": "1",
          "transaction.state.log.min.isr": "1",
          "share.coordinator.state.topic.replication.factor": "1",
          "share.coordinator.state.topic.min.isr": "1",
          ...this.settings,
        })
          .map(([name, value]) => `${name}=${value}\n`)
          .join(""),
      );
      const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url");
      const format = Bun.spawnSync([join(kafkaBin, "kafka-storage.sh"), "format", "--standalone", "-t", id, "-c", properties], {
        env,
      });
      if (format.exitCode !== 0) throw new Error(`kafka-storage format: ${format.stderr}`);
    }
    return { command: [join(kafkaBin, "kafka-server-start.sh"), properties], env };
  }

  /** SIGTERM, then waits for the end. Returns the exit code (Kafka's is 143). */
  async stop(timeoutMs = 60_000, signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<number> {
    return this.#end(signal, timeoutMs);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL", 10_000);
  }

  async #end(signal: NodeJS.Signals, timeoutMs: number): Promise<number> {
    const child = this.#child;
    if (child === null) throw new Error("the broker is not running");
    child.kill(signal);
    const late = await Promise.race([child.exited.then(() => false), sleep(timeoutMs).then(() => true)]);
    if (late) {
      child.kill("SIGKILL");
      await child.exited;
      throw new Error(`the broker did not end within ${timeoutMs} ms of ${signal}\n${this.log().slice(-4000)}`);
    }
    this.#child = null;
    return child.exitCode ?? -1;
  }

  /** Clean stop and start. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** The directory of one partition in Kafka's layout. */
  partitionDir(topic: string, partition: number): string {
    return join(this.dataDir, `${topic}-${partition}`);
  }

  /** Ends the process, however, and removes the directory (kept when QUARKMQ_E2E_KEEP is set). */
  async destroy(): Promise<void> {
    if (this.#child) {
      this.#child.kill("SIGKILL");
      await this.#child.exited;
      this.#child = null;
    }
    if (process.env.QUARKMQ_E2E_KEEP) return;
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** Starts a broker on a free port. */
export async function startTarget(options: TargetOptions = {}): Promise<Target> {
  const target = new Target(await freePort(), options);
  await target.start();
  return target;
}

/** Whether an ApiVersions v0 request on this port is answered. */
function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    const finish = (result: boolean) => {
      socket.destroy();
      done(result);
    };
    socket.setTimeout(2000, () => finish(false));
    socket.on("error", () => finish(false));
    socket.on("close", () => finish(false));
    socket.on("connect", () => socket.write(Buffer.from("0000000a0012000000000001ffff", "hex")));
    socket.on("data", () => finish(true));
  });
}
