/** kcat behind the same interface as the client libraries: every operation is a run of the program. */

import {
  type Client,
  type Codec,
  type Driver,
  franzGo,
  type MemberState,
  type NewRecord,
  type Offsets,
  type Placed,
  type ReadRecord,
  SESSION_TIMEOUT_MS,
  type StreamResult,
} from "./driver.ts";
import { sleep } from "./until.ts";

/** Between key and value on kcat's input: a byte that no test writes. */
const SEPARATOR = "\x1f";
/** One record on kcat's output: where it is, the lengths of key and value (-1 is null), these, its headers. */
const FORMAT = "%p %o %T %K %S\n%k%s\n%h\n";

/** Reads records in FORMAT, however the output is cut into chunks. */
class RecordParser {
  #rest = Buffer.alloc(0);
  readonly records: ReadRecord[] = [];

  take(chunk: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let used = this.#one(); used > 0; used = this.#one()) this.#rest = this.#rest.subarray(used);
  }

  /** Takes one record from the front; the number of bytes that it had, or 0. */
  #one(): number {
    const lineEnd = this.#rest.indexOf(10);
    if (lineEnd < 0) return 0;
    const [partition, offset, timestampMs, keyBytes, valueBytes] = this.#rest
      .toString("utf8", 0, lineEnd)
      .split(" ")
      .map(Number) as [number, number, number, number, number];
    const valueAt = lineEnd + 1 + Math.max(0, keyBytes);
    const headersAt = valueAt + Math.max(0, valueBytes) + 1;
    const headersEnd = this.#rest.indexOf(10, headersAt);
    if (headersEnd < 0) return 0;
    const headers = this.#rest.toString("utf8", headersAt, headersEnd);
    this.records.push({
      partition,
      offset,
      timestampMs,
      key: keyBytes < 0 ? null : Buffer.from(this.#rest.subarray(lineEnd + 1, valueAt)),
      value: valueBytes < 0 ? null : Buffer.from(this.#rest.subarray(valueAt, headersAt - 1)),
      headers: headers === "" ? [] : headers.split(",").map((pair) => headerOf(pair)),
    });
    return headersEnd + 1;
  }
}

function headerOf(pair: string): [string, Buffer | null] {
  const [name, value] = pair.split("=") as [string, string];
  return [name, value === "NULL" ? null : Buffer.from(value)];
}

interface Running {
  child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  stderr: () => string;
  ended: Promise<number>;
}

/** Starts kcat; hands its output and each line of its messages on as they come. */
function start(args: string[], onOutput: (chunk: Uint8Array) => void, onMessage: (line: string) => void = () => {}): Running {
  const child = Bun.spawn(["kcat", ...args], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  let all = "";
  let line = "";
  const decoder = new TextDecoder();
  const reading = Promise.all([
    (async () => {
      for await (const chunk of child.stdout) onOutput(chunk);
    })(),
    (async () => {
      for await (const chunk of child.stderr) {
        const text = decoder.decode(chunk, { stream: true });
        all = (all + text).slice(-20_000);
        const lines = (line + text).split("\n");
        line = lines.pop() ?? "";
        for (const l of lines) onMessage(l);
      }
    })(),
  ]);
  const ended = (async () => {
    await reading;
    return await child.exited;
  })();
  return { child, stderr: () => all, ended };
}

const DELIVERED = /Message delivered to partition (\d+) \(offset (\d+)\)/;

class KcatDriver implements Driver {
  readonly #base: string[];
  readonly #neutral: Driver;
  #member: { run: Running; parser: RecordParser; partitions: number[]; fault: string } | null = null;
  #stream: Load | null = null;

  constructor(bootstrap: string) {
    this.#base = ["-b", bootstrap, "-X", "reconnect.backoff.ms=50", "-X", "reconnect.backoff.max.ms=500"];
    this.#neutral = franzGo.start(bootstrap);
  }

  /** Runs kcat to its end with this input; throws unless it ends with 0. */
  async #run(args: string[], stdin: string | Buffer = "", onOutput: (chunk: Uint8Array) => void = () => {}): Promise<string> {
    const run = start([...this.#base, ...args], onOutput);
    run.child.stdin.write(stdin);
    run.child.stdin.end();
    const late = sleep(40_000).then(() => {
      run.child.kill("SIGKILL");
      return -1;
    });
    const code = await Promise.race([run.ended, late]);
    if (code !== 0) throw new Error(`kcat ${args.join(" ")} ended with ${code}: ${run.stderr()}`);
    return run.stderr();
  }

  /** kcat cannot make topics with a number of partitions of one's choice. */
  createTopic(topic: string, partitions: number, configs?: Record<string, string>): Promise<void> {
    return this.#neutral.createTopic(topic, partitions, configs);
  }

  /** Partition, headers and nulls are told per run: records that agree in them share one, the others get one each. */
  async produce(topic: string, records: NewRecord[], codec: Codec = "none"): Promise<Placed[]> {
    const groups = new Map<string, number[]>();
    records.forEach((r, i) => {
      const own = (r.partition ?? null) === null;
      const shape = own
        ? String(i)
        : JSON.stringify([r.partition, r.headers ?? [], (r.key ?? null) === null, (r.value ?? null) === null]);
      groups.set(shape, [...(groups.get(shape) ?? []), i]);
    });
    const placed: Placed[] = [];
    for (const group of groups.values()) {
      const said = await this.#run(
        ...this.#produceRun(
          topic,
          group.map((i) => records[i]!),
          codec,
        ),
      );
      const told = said
        .split("\n")
        .map((line) => DELIVERED.exec(line))
        .filter((m) => m !== null);
      if (told.length !== group.length) throw new Error(`kcat told of ${told.length} of ${group.length} deliveries: ${said}`);
      group.forEach((i, n) => {
        placed[i] = { partition: Number(told[n]![1]), offset: Number(told[n]![2]) };
      });
    }
    return placed;
  }

  #produceRun(topic: string, records: NewRecord[], codec: Codec): [args: string[], stdin: string] {
    const { partition, headers, key, value } = records[0]!;
    const nulls = (key ?? null) === null || (value ?? null) === null;
    const where = (partition ?? null) === null ? ["-X", "partitioner=murmur2_random"] : ["-p", String(partition)];
    const options = [
      "-X",
      "enable.idempotence=true",
      "-X",
      "message.max.bytes=8000000",
      "-X",
      "topic.produce.offset.report=true",
    ];
    return [
      [
        ...["-P", "-t", topic, "-K", SEPARATOR, "-z", codec, "-vvv", ...where, ...options, ...(nulls ? ["-Z"] : [])],
        ...(headers ?? []).flatMap(([name, text]) => ["-H", text === null ? name : `${name}=${text}`]),
      ],
      records.map((r) => `${r.key ?? ""}${SEPARATOR}${r.value ?? ""}`).join("\n"),
    ];
  }

  async read(topic: string, from: Offsets, to: Offsets): Promise<ReadRecord[]> {
    const records: ReadRecord[] = [];
    for (const [p, at] of Object.entries(from)) {
      const count = to[p]! - at;
      if (count <= 0) continue;
      const parser = new RecordParser();
      const where = ["-t", topic, "-p", p, "-o", String(at), "-c", String(count)];
      const limits = ["-X", "fetch.wait.max.ms=100", "-X", "max.partition.fetch.bytes=4000000"];
      await this.#run(["-C", "-q", ...where, ...limits, "-f", FORMAT], "", (chunk) => parser.take(chunk));
      records.push(...parser.records);
    }
    return records;
  }

  async offsets(topic: string, partitions: number, at: "earliest" | "latest" | number): Promise<Offsets> {
    const time = at === "earliest" ? -2 : at === "latest" ? -1 : at;
    const asked = Array.from({ length: partitions }, (_, p) => ["-t", `${topic}:${p}:${time}`]).flat();
    let said = "";
    await this.#run(["-Q", ...asked], "", (chunk) => {
      said += Buffer.from(chunk).toString();
    });
    return Object.fromEntries([...said.matchAll(/\[(\d+)\] offset (-?\d+)/g)].map(([, p, offset]) => [p, Number(offset)]));
  }

  async join(topic: string, group: string): Promise<void> {
    const parser = new RecordParser();
    const options = [`session.timeout.ms=${SESSION_TIMEOUT_MS}`, "heartbeat.interval.ms=500", "auto.commit.interval.ms=100"];
    const more = ["auto.offset.reset=earliest", "fetch.wait.max.ms=100"];
    const args = [...this.#base, ...[...options, ...more].flatMap((o) => ["-X", o]), "-u", "-f", FORMAT, "-G", group, topic];
    const onMessage = (line: string) => {
      const change = /rebalanced \(memberid .*?\): (assigned|revoked): ?(.*)/.exec(line);
      if (change && this.#member) {
        const named = [...change[2]!.matchAll(/\[(\d+)\]/g)].map((m) => Number(m[1]));
        this.#member.partitions = change[1] === "assigned" ? named.sort((a, b) => a - b) : [];
      } else if (/ERROR/.test(line) && this.#member) this.#member.fault = line;
    };
    const run = start(args, (chunk) => parser.take(chunk), onMessage);
    this.#member = { run, parser, partitions: [], fault: "" };
  }

  async member(): Promise<MemberState> {
    const { partitions, parser, fault } = this.#member!;
    return { partitions, records: [...parser.records], fault };
  }

  /** It commits by itself every 100 ms. */
  async commit(): Promise<void> {
    await sleep(500);
  }

  async leave(): Promise<void> {
    this.#member!.run.child.kill("SIGTERM");
    await this.#member!.run.ended;
  }

  async streamStart(topic: string, partitions: number): Promise<void> {
    this.#stream = new Load(this.#base, topic, partitions);
  }

  async streamStatus(): Promise<{ sent: number; acked: number; failed: number }> {
    const { sent, acked, failed } = this.#stream!;
    return { sent, acked: acked.length, failed: failed.length };
  }

  streamStop(): Promise<StreamResult> {
    return this.#stream!.stop();
  }

  async kill(): Promise<void> {
    this.#member?.run.child.kill("SIGKILL");
    this.#stream?.kill();
    await this.#neutral.kill();
  }

  close(): Promise<void> {
    return this.kill();
  }
}

/**
 * The continuous load: one kcat for each partition, fed line by line. It tells of deliveries in the order of its lines. It ends
 * itself when no broker is left; then a new one goes on with the next number (what was under way may or may not be there).
 */
class Load {
  readonly acked: [number, number, number][] = [];
  readonly failed: string[] = [];
  sent = 0;
  readonly #feeders: Promise<void>[];
  readonly #running = new Set<Running>();
  #stopped = false;

  constructor(base: string[], topic: string, partitions: number) {
    const options = [
      "enable.idempotence=true",
      "acks=all",
      "linger.ms=1",
      "retry.backoff.ms=50",
      "topic.produce.offset.report=true",
    ];
    const args = [...base, ...options.flatMap((o) => ["-X", o]), "-P", "-t", topic, "-vvv"];
    this.#feeders = Array.from({ length: partitions }, (_, p) => this.#feed(p, partitions, [...args, "-p", String(p)]));
  }

  async #feed(p: number, everyMs: number, args: string[]): Promise<void> {
    let n = 0;
    while (!this.#stopped) {
      const fed: number[] = [];
      let delivered = 0;
      let over = false;
      const run = start(
        args,
        () => {},
        (line) => {
          const told = DELIVERED.exec(line);
          if (told) this.acked.push([p, fed[delivered++]!, Number(told[2])]);
          else if (/failed|FATAL/i.test(line)) this.failed.push(line);
        },
      );
      this.#running.add(run);
      void run.ended.then(() => {
        over = true;
      });
      while (!this.#stopped && !over) {
        fed.push(n);
        this.sent++;
        try {
          run.child.stdin.write(`${p}:${n++}\n`);
          await run.child.stdin.flush();
        } catch {
          break; // it has ended
        }
        await sleep(everyMs);
      }
      try {
        await run.child.stdin.end();
      } catch {
        // it has ended before
      }
      await run.ended;
      this.#running.delete(run);
      if (!this.#stopped) await sleep(100);
    }
  }

  async stop(): Promise<StreamResult> {
    this.#stopped = true;
    await Promise.race([Promise.all(this.#feeders), sleep(60_000)]);
    this.kill();
    return { sent: this.sent, acked: this.acked, failed: this.failed };
  }

  kill(): void {
    this.#stopped = true;
    for (const run of this.#running) run.child.kill("SIGKILL");
  }
}

export const kcat: Client = {
  name: "kcat",
  start: (bootstrap) => new KcatDriver(bootstrap),
  setsTimestamps: false,
  writesNullHeaders: true,
  repeatsHeaders: true,
};
