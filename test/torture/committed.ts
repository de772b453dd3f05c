/** Transactional load of both generations of the protocol, a consumer of committed data that follows, and what must hold of both. */

import type { SeededRandom } from "../sim/seeded-random.ts";
import { sleep } from "../support/until.ts";
import type { ReadRecord } from "./batches.ts";
import { Client, Disconnected, type Fetched } from "./client.ts";
import { Violation, valueFor } from "./load.ts";
import { committedOffset, exchange, newer, older } from "./transaction-requests.ts";
import { type Transaction, TransactionalLoad } from "./transactional-load.ts";

/** Options of the broker: transactions that were left open are aborted soon, and the coordinators' topics compacted often. */
export const transactionSettings = {
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200",
  "transaction.state.log.num.partitions": "3",
  "offsets.topic.num.partitions": "3",
  "log.cleaner.backoff.ms": "100",
  "log.cleaner.min.cleanable.ratio": "0.01",
};

/** How long it may take, at the end, until nothing is open. */
const SETTLE_MS = 30_000;

interface Seen {
  position: number;
  lastStableOffset: number;
  records: ReadRecord[];
}

export class Transactions {
  readonly topic = "transactions";
  readonly loads: TransactionalLoad[];
  readonly #port: number;
  readonly #random: SeededRandom;
  /** What the consumer that follows has got, by partition. */
  readonly #seen: Seen[];
  #following: Promise<void> | null = null;
  #isOver = false;
  #fault: Error | null = null;

  constructor(port: number, partitions: number, random: SeededRandom) {
    this.#port = port;
    this.#random = random;
    this.#seen = Array.from({ length: partitions }, () => ({ position: 0, lastStableOffset: 0, records: [] }));
    this.loads = [older, newer, older, newer].map((protocol, i) => {
      const stream = `${protocol.name}-${i}`;
      return new TransactionalLoad(port, { stream, protocol, topic: this.topic, partitions, random });
    });
  }

  get partitions(): number {
    return this.#seen.length;
  }

  /** How many transactions have ended, and were said to have. */
  get ended(): number {
    return this.loads.reduce((sum, load) => sum + load.ended, 0);
  }

  /** The first thing that no broker may say. */
  get fault(): Error | null {
    return this.#fault ?? this.loads.find(({ fault }) => fault !== null)?.fault ?? null;
  }

  start(): void {
    for (const load of this.loads) load.start();
    this.#following = this.#followOn().catch((error) => {
      this.#fault = error as Error;
    });
  }

  /** Ends the load, and then the consumer. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.loads.map((load) => load.stop()));
    this.#isOver = true;
    await this.#following;
    if (this.fault) throw this.fault;
  }

  /** A consumer is always reading, also at the moment of a death. */
  async #followOn(): Promise<void> {
    for (; !this.#isOver; await sleep(this.#random.int(10))) {
      const client = await Client.open(this.#port).catch(() => null);
      try {
        while (client !== null && !this.#isOver) {
          await this.#follow(client);
          await sleep(this.#random.int(10));
        }
      } catch (error) {
        if (!(error instanceof Disconnected)) throw error;
      } finally {
        client?.close();
      }
    }
  }

  /** Reads everything that is new and committed. What is seen must be in a transaction that its producer wanted committed. */
  async #follow(client: Client): Promise<void> {
    for (const [p, seen] of this.#seen.entries()) await this.#readOn(client, p, seen);
  }

  /** Ends the load, reads everything back, and compares. Gives what there was: "511 transactions (301 committed, 97 open, …)". */
  async check(): Promise<string> {
    await this.stop();
    const committed = new Map<string, Set<number>>();
    const client = await Client.open(this.#port);
    try {
      await this.#settle(client);
      await this.#follow(client);
      for (const [p, seen] of this.#seen.entries()) {
        await this.#checkAgain(client, p, seen.records);
        this.#checkOrder(p, seen.records, committed);
        this.#checkOffsets(p, await this.#readAll(client, p));
      }
      for (const load of this.loads) {
        for (const transaction of load.transactions) checkWhole(load, transaction, committed);
        await this.#checkGroup(client, load, committed);
      }
    } finally {
      client.close();
    }
    const states = this.loads.flatMap((load) => load.transactions.map(({ state }) => state));
    const counted = [...new Set(states)].sort().map((one) => `${states.filter((state) => state === one).length} ${one}`);
    return `${states.length} transactions (${counted.join(", ")})`;
  }

  /** Waits until no transaction is open, also of those that nobody ends. */
  async #settle(client: Client): Promise<void> {
    const until = Date.now() + SETTLE_MS;
    for (let p = 0; p < this.partitions; p++)
      for (;;) {
        const { highWatermark, lastStableOffset } = await client.fetchBatches(this.topic, p, 0, { committed: true, maxBytes: 1 });
        if (highWatermark === lastStableOffset) break;
        if (Date.now() > until)
          throw new Violation(`${this.topic}-${p}: the last stable offset stays at ${lastStableOffset} of ${highWatermark}`);
        await sleep(50);
      }
  }

  /** From where `seen` ends to the last stable offset. */
  async #readOn(client: Client, p: number, seen: Seen): Promise<void> {
    for (;;) {
      // A small answer ends in the middle of transactions.
      const maxBytes = this.#random.pick([500, 5000, 1 << 20]);
      const fetched = await client.fetchBatches(this.topic, p, seen.position, { committed: true, maxBytes });
      const { lastStableOffset, highWatermark } = fetched;
      const what = `${this.topic}-${p}: the last stable offset is ${lastStableOffset}`;
      if (lastStableOffset < seen.lastStableOffset) throw new Violation(`${what}, was ${seen.lastStableOffset}`);
      if (lastStableOffset > highWatermark) throw new Violation(`${what}, the high watermark ${highWatermark}`);
      seen.lastStableOffset = lastStableOffset;
      const end = (fetched.batches.at(-1)?.lastOffset ?? seen.position - 1) + 1;
      if (end > lastStableOffset) throw new Violation(`${what}, but a consumer of committed data got ${end - 1}`);
      for (const record of withoutAborted(fetched)) {
        if (record.offset < seen.position) continue;
        this.#checkWanted(p, record);
        seen.records.push(record);
      }
      if (end === seen.position && end < lastStableOffset) throw new Violation(`${what}, but there is nothing at ${end}`);
      seen.position = end;
      if (seen.position >= lastStableOffset) return;
    }
  }

  /** The transaction of a value that was read. Throws when nobody sent it so. */
  #transactionOf(
    p: number,
    { offset, value }: ReadRecord,
  ): { load: TransactionalLoad; sequence: number; transaction: Transaction } {
    const [stream = "", partition, text] = value.split("/", 3);
    const sequence = Number(text);
    const load = this.loads.find((one) => one.options.stream === stream);
    const transaction = load?.sent[p]?.get(sequence);
    if (load === undefined || transaction === undefined || Number(partition) !== p || bytesOf(stream, p, sequence) !== value)
      throw new Violation(`${this.topic}-${p}: a foreign record at ${offset}: ${value.slice(0, 80)}`);
    return { load, sequence, transaction };
  }

  #checkWanted(p: number, record: ReadRecord): void {
    const { transaction, sequence } = this.#transactionOf(p, record);
    const { name, state } = transaction;
    if (state !== "committing" && state !== "committed")
      throw new Violation(`${this.topic}-${p}: ${sequence} is seen at ${record.offset}, but ${name} is ${state}`);
  }

  /** A consumer that begins anew, at the beginning or anywhere, gets what the one that followed got. */
  async #checkAgain(client: Client, p: number, followed: readonly ReadRecord[]): Promise<void> {
    const end = followed.at(-1)?.offset ?? 0;
    for (const position of [0, this.#random.int(end + 1), this.#random.int(end + 1)]) {
      const again: Seen = { position, lastStableOffset: 0, records: [] };
      await this.#readOn(client, p, again);
      const expected = followed.filter(({ offset }) => offset >= position);
      for (let i = 0; i < Math.max(expected.length, again.records.length); i++) {
        const [was, is] = [expected[i], again.records[i]];
        if (was?.offset !== is?.offset || was?.value !== is?.value)
          throw new Violation(`${this.topic}-${p}, read from ${position}: ${describe(was)} was seen, now it is ${describe(is)}`);
      }
    }
  }

  /** What is committed comes once, and in the order of its producer. Adds it to `committed`, by stream and partition. */
  #checkOrder(p: number, records: readonly ReadRecord[], committed: Map<string, Set<number>>): void {
    const last = new Map<TransactionalLoad, number>();
    for (const record of records) {
      const { load, sequence } = this.#transactionOf(p, record);
      if (sequence <= (last.get(load) ?? -1))
        throw new Violation(`${this.topic}-${p}: ${sequence} comes after ${last.get(load)}: twice, or out of order`);
      last.set(load, sequence);
      const key = keyOf(load, p);
      committed.set(key, (committed.get(key) ?? new Set()).add(sequence));
    }
  }

  /** All records, committed or not. */
  async #readAll(client: Client, p: number): Promise<ReadRecord[]> {
    const records: ReadRecord[] = [];
    for (let position = 0; ; ) {
      const { batches } = await client.fetchBatches(this.topic, p, position, { committed: false });
      if (batches.length === 0) return records;
      records.push(...batches.flatMap((batch) => batch.records));
      position = batches.at(-1)!.lastOffset + 1;
    }
  }

  /** Committed or not, what was acknowledged is where it was said to be, and nothing is there twice. */
  #checkOffsets(p: number, all: readonly ReadRecord[]): void {
    const offsets = new Map<Transaction, Map<number, number>>();
    for (const record of all) {
      const { transaction, sequence } = this.#transactionOf(p, record);
      const own = offsets.get(transaction) ?? new Map<number, number>();
      if (own.has(sequence)) throw new Violation(`${this.topic}-${p}: ${transaction.name}: ${sequence} is there twice`);
      offsets.set(transaction, own.set(sequence, record.offset));
    }
    for (const { transactions } of this.loads)
      for (const transaction of transactions)
        for (const { partition, sequence, offset } of transaction.records) {
          const found = offsets.get(transaction)?.get(sequence);
          if (partition === p && offset >= 0 && found !== offset)
            throw new Violation(
              `${this.topic}-${p}: ${transaction.name}: ${sequence} was said to be at ${offset}, is at ${found}`,
            );
        }
  }

  /** The offset of a group is the one of the last transaction that was committed and had one. */
  async #checkGroup(client: Client, load: TransactionalLoad, committed: ReadonlyMap<string, Set<number>>): Promise<void> {
    const last = load.transactions.findLast(({ offset, records: [first] }) => {
      return offset !== null && committed.get(keyOf(load, first!.partition))?.has(first!.sequence);
    });
    const found = await exchange(client, committedOffset(load.group, this.topic));
    if (found !== (last?.offset ?? -1))
      throw new Violation(`${load.group}: the offset is ${found}, of ${last?.name} it is ${last?.offset ?? -1}`);
  }
}

const keyOf = (load: TransactionalLoad, p: number): string => `${load.options.stream}/${p}`;

const bytesOf = (stream: string, p: number, sequence: number): string => valueFor(stream, p, sequence).toString("latin1");

const describe = (record: ReadRecord | undefined): string =>
  record === undefined ? "nothing" : `${record.value.slice(0, 40)} at ${record.offset}`;

/** What a consumer of committed data keeps of an answer. Source: CompletedFetch. */
function withoutAborted({ batches, aborted }: Fetched): ReadRecord[] {
  const toCome = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  const leftOut = new Set<number>();
  const kept: ReadRecord[] = [];
  for (const { producerId, lastOffset, isTransactional, marker, records } of batches) {
    while (toCome.length > 0 && toCome[0]!.firstOffset <= lastOffset) leftOut.add(toCome.shift()!.producerId);
    if (marker === "abort") leftOut.delete(producerId);
    else if (marker === null && !(isTransactional && leftOut.has(producerId))) kept.push(...records);
  }
  return kept;
}

/** What was committed is there whole, what was not is not there at all, and what nobody knows is one of both. */
function checkWhole(load: TransactionalLoad, transaction: Transaction, committed: ReadonlyMap<string, Set<number>>): void {
  const { name, state, records } = transaction;
  const there = records.filter(({ partition, sequence }) => committed.get(keyOf(load, partition))?.has(sequence)).length;
  const mayBeWhole = state === "committed" || state === "committing";
  const mayBeAbsent = state !== "committed";
  if (!(there === records.length && mayBeWhole) && !(there === 0 && mayBeAbsent))
    throw new Violation(`${name} is ${state}, and ${there} of its ${records.length} records are there`);
}
