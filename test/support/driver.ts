/**
 * What a test asks of a client, whichever client it is. A driver program (test/support/{go,java,js,python}) carries it out: it
 * reads one JSON command a line, {"id", "op", …}, and answers each with one line, {"id", "result"} or {"id", "error"}.
 */

import { join } from "node:path";
import { cache, kafkaBin, newNode, root } from "./paths.ts";
import { sleep } from "./until.ts";

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd";

/** How members of groups talk to the broker: by JoinGroup and SyncGroup, or by the heartbeats of KIP-848. */
export type GroupProtocol = "classic" | "consumer";

/** A record as the tests write it. Bytes are base64 on the wire between test and driver, and strings of "latin1" nowhere. */
export interface NewRecord {
  /** null: the client's own partitioner decides. */
  partition?: number | null;
  key?: Buffer | string | null;
  value?: Buffer | string | null;
  headers?: [name: string, value: Buffer | string | null][];
  /** null: the client sets the time. */
  timestampMs?: number | null;
}

/** A record as a client read it. */
export interface ReadRecord {
  partition: number;
  offset: number;
  timestampMs: number;
  key: Buffer | null;
  value: Buffer | null;
  headers: [name: string, value: Buffer | null][];
  /** Only told by franz-go: the codec of the batch that it came in. */
  codec?: Codec;
}

export interface Placed {
  partition: number;
  offset: number;
}

/** Offsets by partition. */
export type Offsets = Record<string, number>;

export interface MemberState {
  partitions: number[];
  /** Everything read since it joined. */
  records: ReadRecord[];
  /** "" or what went wrong. */
  fault: string;
}

export interface StreamResult {
  sent: number;
  /** [partition, number of the record in its partition, offset (-1: the client does not tell)] */
  acked: [number, number, number][];
  failed: string[];
}

export interface NewTransaction {
  transactionalId: string;
  instance: number;
  topic: string;
  values: [partition: number, value: string][];
  /** What it commits for partition 0 of the topic, null for nothing. */
  offsets: { group: string; offset: number } | null;
  /** "open": it is left as it is. */
  ends: "commit" | "abort" | "open";
}

export interface Driver {
  createTopic(topic: string, partitions: number, configs?: Record<string, string>): Promise<void>;
  /** Resolves once all are acknowledged by all replicas: where each record went. */
  produce(topic: string, records: NewRecord[], codec?: Codec): Promise<Placed[]>;
  /** Reads [from, to) of every partition named. `from` names all partitions of the topic. */
  read(topic: string, from: Offsets, to: Offsets): Promise<ReadRecord[]>;
  /** The offset of each partition at the beginning, the end, or the first record of that time or later. */
  offsets(topic: string, partitions: number, at: "earliest" | "latest" | number): Promise<Offsets>;
  /**
   * Joins a group with this process's one member, which reads on from the committed offsets or else from the beginning. By the
   * classic protocol the client chooses the assignor; or it is the "roundrobin" that all clients have, so that they can be in one group.
   */
  join(topic: string, group: string, protocol?: GroupProtocol | "roundrobin"): Promise<void>;
  member(): Promise<MemberState>;
  /** Commits what the member has read of the partitions that it has. */
  commit(): Promise<void>;
  leave(): Promise<void>;
  /** Begins the continuous load: idempotent, acks=all, values "partition:number", numbers rising from 0 in each partition. */
  streamStart(topic: string, partitions: number): Promise<void>;
  streamStatus(): Promise<{ sent: number; acked: number; failed: number }>;
  /** Stops sending and waits until everything sent is acknowledged or has failed. */
  streamStop(): Promise<StreamResult>;
  /** kill -9 of the client's process. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

export interface TransactionalDriver extends Driver {
  /** One transaction, by the instance of that number of the producer with this id (a new one fences the others). */
  transact(transaction: NewTransaction): Promise<void>;
  /** Copies a topic to another in transactions, until it is killed. Java alone can. */
  copy(from: string, to: string, group: string): Promise<void>;
  /** Reads all partitions from the beginning as a consumer of committed data: at least `count` records, and what comes soon after. */
  committed(topic: string, partitions: number, count: number): Promise<ReadRecord[]>;
}

/** A client of the suite: how to start its driver, and what it cannot do (by its own design, not by the broker's). */
export interface Client {
  name: string;
  start(bootstrap: string): Driver;
  /** Can write a record with a time of its own choice. */
  setsTimestamps: boolean;
  /** Can write a header whose value is null. */
  writesNullHeaders: boolean;
  /** Can write the same header name twice in one record. */
  repeatsHeaders: boolean;
}

export interface TransactionalClient extends Client {
  start(bootstrap: string): TransactionalDriver;
  /** Can commit any offset for any group within a transaction. */
  commitsAnyOffsetInTransactions: boolean;
  /** A new instance takes the place of the one before. */
  fencesOthers: boolean;
  /** Leaves out each of several aborted transactions of one producer that an answer tells of. */
  leavesOutAllAborted: boolean;
}

/** The session timeout of the members: the shortest that Kafka allows by default. */
export const SESSION_TIMEOUT_MS = 6000;

const encode = (value: Buffer | string | null | undefined): string | null =>
  value === null || value === undefined ? null : Buffer.from(value).toString("base64");
const decode = (base64: string | null): Buffer | null => (base64 === null ? null : Buffer.from(base64, "base64"));

interface WireRecord {
  partition: number;
  offset: number;
  timestampMs: number;
  key: string | null;
  value: string | null;
  headers: [string, string | null][];
  codec?: Codec;
}

const fromWire = (r: WireRecord): ReadRecord => ({
  ...r,
  key: decode(r.key),
  value: decode(r.value),
  headers: r.headers.map(([name, value]) => [name, decode(value)]),
});

/** A driver that is a process of its own. */
export class ProcessDriver implements TransactionalDriver {
  readonly name: string;
  #child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>();
  #nextId = 1;
  #stderr = "";

  constructor(name: string, command: string[]) {
    this.name = name;
    this.#child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
    void this.#listen();
    void this.#collectStderr();
  }

  async #listen(): Promise<void> {
    let rest: Uint8Array[] = [];
    for await (const chunk of this.#child.stdout) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        rest.push(chunk.subarray(from, end));
        this.#answered(Buffer.concat(rest).toString());
        rest = [];
        from = end + 1;
      }
      rest.push(chunk.subarray(from));
    }
    await this.#child.exited;
    for (const { reject } of this.#waiting.values())
      reject(new Error(`the ${this.name} driver ended\n${this.#stderr.slice(-2000)}`));
    this.#waiting.clear();
  }

  async #collectStderr(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child.stderr) this.#stderr = (this.#stderr + decoder.decode(chunk)).slice(-20_000);
  }

  #answered(line: string): void {
    const { id, result, error } = JSON.parse(line) as { id: number; result: unknown; error?: string };
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${this.name}: ${error}`));
  }

  #call<T>(op: string, more: object = {}, timeoutMs = 40_000): Promise<T> {
    const id = this.#nextId++;
    const answer = new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
    });
    this.#child.stdin.write(`${JSON.stringify({ id, op, timeoutMs, ...more })}\n`);
    this.#child.stdin.flush();
    const late = sleep(timeoutMs + 10_000).then(() => {
      this.#waiting.delete(id);
      throw new Error(`${this.name}: no answer to ${op}\n${this.#stderr.slice(-2000)}`);
    });
    return Promise.race([answer, late]);
  }

  /** A command beyond those of every driver. */
  ask<T>(op: string, more: object = {}): Promise<T> {
    return this.#call(op, more);
  }

  createTopic(topic: string, partitions: number, configs: Record<string, string> = {}): Promise<void> {
    return this.#call("createTopic", { topic, partitions, configs });
  }

  async produce(topic: string, records: NewRecord[], codec: Codec = "none"): Promise<Placed[]> {
    const wire = records.map((r) => ({
      partition: r.partition ?? null,
      key: encode(r.key),
      value: encode(r.value),
      headers: (r.headers ?? []).map(([name, value]) => [name, encode(value)]),
      timestampMs: r.timestampMs ?? null,
    }));
    return (await this.#call<{ placed: Placed[] }>("produce", { topic, codec, records: wire })).placed;
  }

  async read(topic: string, from: Offsets, to: Offsets): Promise<ReadRecord[]> {
    return (await this.#call<{ records: WireRecord[] }>("read", { topic, from, to })).records.map(fromWire);
  }

  async offsets(topic: string, _partitions: number, at: "earliest" | "latest" | number): Promise<Offsets> {
    return (await this.#call<{ offsets: Offsets }>("offsets", { topic, at })).offsets;
  }

  join(topic: string, group: string, how: GroupProtocol | "roundrobin" = "classic"): Promise<void> {
    const protocol = how === "roundrobin" ? "classic" : how;
    const roundRobin = how === "roundrobin";
    return this.#call("join", { topic, group, protocol, roundRobin, sessionTimeoutMs: SESSION_TIMEOUT_MS });
  }

  async member(): Promise<MemberState> {
    const state = await this.#call<{ partitions: number[]; records: WireRecord[]; fault: string }>("member");
    return { ...state, partitions: state.partitions.sort((a, b) => a - b), records: state.records.map(fromWire) };
  }

  commit(): Promise<void> {
    return this.#call("commit");
  }

  leave(): Promise<void> {
    return this.#call("leave");
  }

  streamStart(topic: string, partitions: number): Promise<void> {
    return this.#call("streamStart", { topic, partitions });
  }

  streamStatus(): Promise<{ sent: number; acked: number; failed: number }> {
    return this.#call("streamStatus");
  }

  async streamStop(): Promise<StreamResult> {
    const result = await this.#call<StreamResult>("streamStop", {}, 60_000);
    return { ...result, acked: result.acked ?? [], failed: result.failed ?? [] };
  }

  transact(transaction: NewTransaction): Promise<void> {
    return this.#call("transact", transaction);
  }

  copy(from: string, to: string, group: string): Promise<void> {
    return this.#call("copy", { from, to, group });
  }

  async committed(topic: string, partitions: number, count: number): Promise<ReadRecord[]> {
    return (await this.#call<{ records: WireRecord[] }>("committed", { topic, partitions, count })).records.map(fromWire);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await Promise.race([this.#child.exited, sleep(5000)]);
    await this.kill();
  }
}

const everything = {
  setsTimestamps: true,
  writesNullHeaders: true,
  repeatsHeaders: true,
  commitsAnyOffsetInTransactions: true,
  fencesOthers: true,
  leavesOutAllAborted: true,
};

export const franzGo: TransactionalClient = {
  name: "franz-go",
  start: (bootstrap) => new ProcessDriver("franz-go", [join(cache, "bin/franz-go-driver"), bootstrap]),
  ...everything,
  commitsAnyOffsetInTransactions: false, // only what its group session has read
};

export const java: TransactionalClient = {
  name: "java",
  start: (bootstrap) => new ProcessDriver("java", [join(kafkaBin, "java-driver.sh"), bootstrap]),
  ...everything,
};

export const librdkafka: TransactionalClient = {
  name: "librdkafka",
  start: (bootstrap) =>
    new ProcessDriver("librdkafka", ["/usr/bin/python3", join(root, "test/support/python/driver.py"), bootstrap]),
  ...everything,
};

/** The newest librdkafka: Debian's is older than KIP-848. */
export const newLibrdkafka: Client = {
  name: "new-librdkafka",
  start: (bootstrap) =>
    new ProcessDriver("new-librdkafka", [
      ...["env", `PYTHONPATH=${join(cache, "python")}`],
      ...["/usr/bin/python3", join(root, "test/support/python/driver.py"), bootstrap],
    ]),
  ...everything,
};

/** Only for the cross matrix of codecs: its driver knows no groups and no continuous load. */
export const kafkaPython: Client = {
  name: "kafka-python",
  start: (bootstrap) =>
    new ProcessDriver("kafka-python", ["/usr/bin/python3", join(root, "test/support/python/kafka_python_driver.py"), bootstrap]),
  ...everything,
};

export const kafkajs: TransactionalClient = {
  name: "kafkajs",
  start: (bootstrap) => new ProcessDriver("kafkajs", [newNode, join(root, "test/support/js/kafkajs-driver.mjs"), bootstrap]),
  ...everything,
  writesNullHeaders: false, // it asks for the byte length of each header's value
};

export const platformatic: TransactionalClient = {
  name: "platformatic",
  start: (bootstrap) =>
    new ProcessDriver("platformatic", [newNode, join(root, "test/support/js/platformatic-driver.mjs"), bootstrap]),
  ...everything,
  repeatsHeaders: false, // its headers are a map
  commitsAnyOffsetInTransactions: false, // only that of a message that its consumer has read
  fencesOthers: false, // a new instance says that it is producer 0, epoch 0, which is fenced itself
  leavesOutAllAborted: false, // it remembers one of a producer
};

/** Only a member of a group, by the newest kafka-python. */
export const kafkaPythonMember: Pick<Client, "name" | "start"> = {
  name: "kafka-python",
  start: (bootstrap) =>
    new ProcessDriver("kafka-python", [
      "/usr/bin/python3",
      join(root, "test/support/python/kafka_python_member.py"),
      bootstrap,
      join(cache, "kafka-python"),
    ]),
};

/** The newest kafka-python, and only its admin side: Debian's can do little there. */
export const newKafkaPython: Client = {
  name: "new-kafka-python",
  start: (bootstrap) =>
    new ProcessDriver("new-kafka-python", [
      ...["env", `PYTHONPATH=${join(cache, "kafka-python")}`],
      ...["/usr/bin/python3", join(root, "test/support/python/new_kafka_python_driver.py"), bootstrap],
    ]),
  ...everything,
};
