/**
 * Load whose every record is known, and the checker that reads it back. A value names its stream, partition and sequence number and
 * is filled up to a length that follows from them: no byte can change unseen.
 */

import { sleep } from "../support/until.ts";
import { Background } from "./background.ts";
import { batchOf, noProducer, type Producer } from "./batches.ts";
import { Client, Disconnected } from "./client.ts";

/** What was found wrong. */
export class Violation extends Error {}

/** Error codes after which a producer tries again: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER, OUT_OF_ORDER (behind a failure), STORAGE. */
const retriable = new Set([3, 6, 45, 56]);

export function valueFor(stream: string, partition: number, sequence: number): Buffer {
  const mix = Math.imul(sequence + 1, 0x9e3779b1) ^ Math.imul(partition + 1, 0x85ebca6b);
  const head = `${stream}/${partition}/${sequence}/`;
  const length = ((mix >>> 8) & 0xff) === 7 ? 4_000 : (mix >>> 16) & 0xff;
  return Buffer.concat([Buffer.from(head), Buffer.alloc(length, String.fromCharCode(97 + ((mix >>> 4) & 15)))]);
}

interface Sent {
  first: number;
  count: number;
  /** refused: answered with an error; unknown: its connection ended first. Neither of them may be there twice. */
  state: "waiting" | "acknowledged" | "maybe";
  baseOffset: number;
}

interface Lane {
  next: number;
  sent: Sent[];
  /** What is not answered yet, oldest first: an idempotent producer sends it again. */
  open: Sent[];
}

export interface LoadOptions {
  topic: string;
  partitions: number;
  idempotent: boolean;
  random: { int(below: number): number };
  /** Requests on their way at a time. */
  inFlight?: number;
  /** Partitions that one request goes to, at most. */
  spread?: number;
}

/** One producer that never stops, whatever happens to the broker. */
export class Load extends Background {
  readonly stream: string;
  readonly lanes: Lane[];
  readonly options: LoadOptions;
  readonly #port: number;
  #producer: Producer = noProducer;
  acknowledged = 0;

  constructor(port: number, options: LoadOptions) {
    super();
    this.#port = port;
    this.options = options;
    this.stream = options.idempotent ? "idempotent" : "plain";
    this.lanes = Array.from({ length: options.partitions }, () => ({ next: 0, sent: [], open: [] }));
  }

  /** Ends with the answers that are due (an idempotent producer: when everything is acknowledged). */
  protected override async run(): Promise<void> {
    while (!this.#finished()) {
      try {
        await this.#connected(await Client.open(this.#port));
      } catch (error) {
        if (error instanceof Violation) throw error;
        await sleep(3);
      }
    }
  }

  #finished(): boolean {
    return this.isStopping && (!this.options.idempotent || this.lanes.every((lane) => lane.open.length === 0));
  }

  /** One connection's life. Rejects when it ends. */
  async #connected(client: Client): Promise<void> {
    const { idempotent, inFlight = 3 } = this.options;
    const flying = new Set<Promise<void>>();
    let trouble: unknown = null;
    const launch = (chosen: Map<number, Sent>) => {
      const flight = this.#send(client, chosen).catch((error) => {
        trouble ??= error;
        if (!(error instanceof Violation)) client.close();
      });
      flying.add(flight);
      void flight.finally(() => flying.delete(flight));
    };
    try {
      if (idempotent && this.#producer.id < 0) this.#producer = await client.newProducer();
      // What was not answered goes first, in its order: the i-th of every partition together.
      for (let i = 0; i < 5; i++) {
        const again = new Map<number, Sent>();
        for (const [p, { open }] of this.lanes.entries()) {
          const sent = open[i];
          if (sent) again.set(p, sent);
        }
        if (again.size > 0) launch(again);
      }
      await Promise.all(flying);
      while (trouble === null && !this.isStopping) {
        launch(this.#choose());
        if (flying.size >= inFlight) await Promise.race(flying);
      }
      await Promise.all(flying);
      if (trouble !== null) throw trouble;
    } finally {
      client.close();
      await Promise.all(flying);
      if (!idempotent) for (const lane of this.lanes) for (const sent of lane.open.splice(0)) sent.state = "maybe";
    }
  }

  #choose(): Map<number, Sent> {
    const { random, partitions, spread = 4 } = this.options;
    const chosen = new Map<number, Sent>();
    for (let n = 1 + random.int(spread); n > 0; n--) {
      const p = random.int(partitions);
      const lane = this.lanes[p]!;
      if (chosen.has(p) || lane.open.length >= 5) continue;
      const sent: Sent = { first: lane.next, count: 1 + random.int(4), state: "waiting", baseOffset: -1 };
      lane.next += sent.count;
      lane.sent.push(sent);
      lane.open.push(sent);
      chosen.set(p, sent);
    }
    return chosen;
  }

  async #send(client: Client, chosen: Map<number, Sent>): Promise<void> {
    const batches = new Map<number, Buffer>();
    for (const [p, { first, count }] of chosen) {
      const values = Array.from({ length: count }, (_, i) => valueFor(this.stream, p, first + i));
      batches.set(p, batchOf(values, this.#producer, this.options.idempotent ? first : -1));
    }
    if (batches.size === 0) return void (await sleep(1));
    const results = await client.produce(this.options.topic, batches);
    let failed = false;
    for (const [p, sent] of chosen) {
      const result = results.get(p);
      if (result === undefined) throw new Violation(`no answer for partition ${p}`);
      if (result.code === 0) {
        const { open } = this.lanes[p]!;
        open.splice(open.indexOf(sent), 1);
        sent.state = "acknowledged";
        sent.baseOffset = result.baseOffset;
        this.acknowledged += sent.count;
      } else if (retriable.has(result.code)) failed = true;
      else throw new Violation(`partition ${p}, sequence ${sent.first}: error ${result.code}`);
    }
    if (failed) {
      await sleep(20);
      throw new Disconnected("refused for now");
    }
  }
}

/** A consumer that follows a topic over all that happens: what it has once seen must stay. */
export class View {
  readonly #port: number;
  readonly #topic: string;
  readonly partitions: string[][];
  readonly highWatermarks: number[];

  constructor(port: number, topic: string, partitions: number) {
    this.#port = port;
    this.#topic = topic;
    this.partitions = Array.from({ length: partitions }, () => []);
    this.highWatermarks = this.partitions.map(() => 0);
  }

  /** Reads everything that is new. */
  async follow(): Promise<void> {
    const client = await Client.open(this.#port);
    try {
      for (const [p, seen] of this.partitions.entries()) {
        for (;;) {
          const { highWatermark, records } = await client.fetch(this.#topic, p, seen.length);
          if (highWatermark < this.highWatermarks[p]!)
            throw new Violation(
              `${this.#topic}-${p}: the high watermark went back from ${this.highWatermarks[p]} to ${highWatermark}`,
            );
          this.highWatermarks[p] = highWatermark;
          for (const { offset, value } of records) {
            if (offset !== seen.length) throw new Violation(`${this.#topic}-${p}: offset ${offset} follows ${seen.length - 1}`);
            seen.push(value);
          }
          if (seen.length >= highWatermark) break;
          if (records.length === 0) throw new Violation(`${this.#topic}-${p}: nothing at ${seen.length} below ${highWatermark}`);
        }
      }
    } finally {
      client.close();
    }
  }
}

/** Reads a whole topic and compares: with a view taken on the way, and with what the loads sent. Gives how many records. */
export async function check(port: number, topic: string, loads: Load[], view: View): Promise<number> {
  await view.follow();
  const all = new View(port, topic, view.partitions.length);
  await all.follow();
  for (const [p, seen] of view.partitions.entries())
    for (const [offset, value] of seen.entries())
      if (all.partitions[p]![offset] !== value) throw new Violation(`${topic}-${p}: offset ${offset} was another record before`);
  for (const [p, records] of all.partitions.entries()) checkPartition(`${topic}-${p}`, p, records, loads);
  return all.partitions.reduce((sum, records) => sum + records.length, 0);
}

/** Nothing acknowledged lost, nothing twice, nothing out of order, no foreign byte, every batch whole and where it was said to be. */
export function checkPartition(name: string, p: number, records: string[], loads: Load[]): void {
  const at = new Map(loads.map((load) => [load.stream, new Map<number, number>()]));
  const last = new Map<string, number>();
  for (const [offset, value] of records.entries()) {
    const [stream = "", partition, text] = value.split("/", 3);
    const offsets = at.get(stream);
    const sequence = Number(text);
    if (offsets === undefined || Number(partition) !== p || valueFor(stream, p, sequence).toString("latin1") !== value)
      throw new Violation(`${name}: a foreign record at ${offset}: ${value.slice(0, 80)}`);
    if (sequence <= (last.get(stream) ?? -1))
      throw new Violation(`${name}: ${stream} ${sequence} at ${offset} comes after ${last.get(stream)}: twice, or out of order`);
    last.set(stream, sequence);
    offsets.set(sequence, offset);
  }
  for (const load of loads) {
    const offsets = at.get(load.stream)!;
    for (const { first, count, state, baseOffset } of load.lanes[p]!.sent) {
      const there = Array.from({ length: count }, (_, i) => offsets.get(first + i));
      const what = `${name}: ${load.stream} ${first}, ${state} at ${baseOffset}`;
      if (state === "acknowledged" && there[0] !== baseOffset) throw new Violation(`${what}, is at ${there[0]}`);
      if (there.some((offset, i) => offset !== (there[0] === undefined ? undefined : there[0] + i)))
        throw new Violation(`${what}: torn apart: ${there}`);
      if (load.options.idempotent && there[0] === undefined) throw new Violation(`${what}: never arrived`);
      for (let i = 0; i < count; i++) offsets.delete(first + i);
    }
    if (offsets.size > 0) throw new Violation(`${name}: ${[...offsets.keys()]} were never sent`);
  }
}
