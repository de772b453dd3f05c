/**
 * A producer of transactions that never stops, whatever happens to the broker, and of which it is known what became of each: some it
 * commits, some it aborts, some it leaves open. When the broker dies it goes on where it was, or dies too and begins anew.
 */

import type { SeededRandom } from "../sim/seeded-random.ts";
import { sleep } from "../support/until.ts";
import { Background } from "./background.ts";
import { batchOf, type Producer, TRANSACTIONAL } from "./batches.ts";
import { Client, Disconnected } from "./client.ts";
import { Violation, valueFor } from "./load.ts";
import {
  type Coded,
  type Exchange,
  exchange,
  findCoordinator,
  type Identity,
  newInstance,
  type Protocol,
} from "./transaction-requests.ts";

/** What a transaction may last. Whoever is refused earlier than this was refused wrongly. */
export const TIMEOUT_MS = 1000;

/** How long a producer asks again and again. No disk is full, and no end of a transaction unfinished, for so long. */
const PATIENCE_MS = 30_000;

/**
 * Error codes after which a producer asks again: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER, the coordinator's LOAD_IN_PROGRESS,
 * NOT_AVAILABLE and NOT_COORDINATOR, NOT_ENOUGH_REPLICAS, CONCURRENT_TRANSACTIONS, STORAGE.
 */
const retriable = new Set([3, 6, 14, 15, 16, 19, 51, 56]);

/**
 * Error codes by which a producer hears that its transaction was aborted: INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE,
 * INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, TRANSACTION_ABORTABLE.
 */
const endings = new Set([47, 48, 49, 90, 120]);

/** A record, and the offset that the broker said; -1 until then. */
export interface SentRecord {
  partition: number;
  sequence: number;
  offset: number;
}

/** "committing", "aborting": that was asked for, and not answered (yet). "open": it was never asked for. */
export interface Transaction {
  readonly name: string;
  state: "open" | "committing" | "committed" | "aborting" | "aborted";
  readonly begunMs: number;
  readonly records: SentRecord[];
  /** What it commits for the group of its stream. */
  offset: number | null;
}

/** This instance of the producer is no more. */
class Died extends Error {}

export interface TransactionalLoadOptions {
  stream: string;
  protocol: Protocol;
  topic: string;
  partitions: number;
  random: SeededRandom;
}

export class TransactionalLoad extends Background {
  readonly options: TransactionalLoadOptions;
  /** In the order in which they began. */
  readonly transactions: Transaction[] = [];
  /** By partition and sequence: what of the values was sent, and in which transaction. */
  readonly sent: Map<number, Transaction>[];
  /** How many have ended, and the broker said so. */
  ended = 0;
  readonly #port: number;
  readonly #nextSequence: number[];
  #client: Client | null = null;
  #who: Identity;
  /** The producer's own sequence for the next batch to a partition. */
  readonly #sequences = new Map<number, number>();
  /** The end of the transaction before, to be asked for once more. */
  #again: Exchange<Coded> | null = null;
  #lives = 0;

  constructor(port: number, options: TransactionalLoadOptions) {
    super();
    this.#port = port;
    this.options = options;
    this.sent = Array.from({ length: options.partitions }, () => new Map());
    this.#nextSequence = this.sent.map(() => 0);
    this.#who = { transactionalId: `${options.stream}.0`, producer: { id: -1, epoch: -1 } };
  }

  /** The group for which its transactions commit offsets. */
  get group(): string {
    return `group of ${this.options.stream}`;
  }

  /** Ends when its last transaction has ended, or was left open. */
  protected override async run(): Promise<void> {
    const { random, stream } = this.options;
    while (!this.isStopping) {
      try {
        await this.#instance();
      } catch (error) {
        if (!(error instanceof Died)) throw error;
      }
      // Whoever comes back under its name ends what was open; else that has to run out of time.
      if (random.chance(0.4)) this.#who.transactionalId = `${stream}.${++this.#lives}`;
    }
    this.#client?.close();
  }

  /** One instance's life: until it dies, leaves a transaction open, or hears that it has run out of time. */
  async #instance(): Promise<void> {
    const { transactionalId } = this.#who;
    for (const kind of ["transaction", "group"] as const) await this.#insist(findCoordinator(kind, transactionalId), codeOf);
    const { code, producer } = await this.#insist(newInstance(transactionalId, TIMEOUT_MS), codeOf);
    if (code !== 0) throw new Violation(`${transactionalId} could not begin: error ${code}`);
    this.#goOnAs(producer, true);
    while (!this.isStopping && (await this.#transact())) {}
  }

  #goOnAs(producer: Producer, isNew: boolean): void {
    this.#who = { ...this.#who, producer };
    if (isNew) this.#sequences.clear();
  }

  /** False when the instance is at its end. */
  async #transact(): Promise<boolean> {
    const { random, stream, protocol } = this.options;
    const { id, epoch } = this.#who.producer;
    const name = `${this.#who.transactionalId} (${id}, ${epoch}), number ${this.transactions.length}`;
    const transaction: Transaction = { name, state: "open", begunMs: Date.now(), records: [], offset: null };
    this.transactions.push(transaction);
    let isOpen = await this.#write(transaction);
    // KIP-890: the end of the transaction before may come twice, its double however late, asking for anything.
    if (this.#again !== null && random.chance(0.2)) await this.#insist(this.#again, codeOf);
    for (let writes = random.int(3); writes > 0 && isOpen; writes--) isOpen = await this.#write(transaction);
    if (isOpen && random.chance(0.3)) isOpen = await this.#commitOffset(transaction);
    if (isOpen && random.chance(0.02)) await sleep(random.int(2 * TIMEOUT_MS)); // it may run out of time
    if (!isOpen || random.chance(0.1)) return false;
    const commits = random.chance(0.7);
    transaction.state = commits ? "committing" : "aborting";
    const { code, producer } = await this.#insist(protocol.end(this.#who, commits), codeOf, protocol.bumpsEpoch);
    if (!this.#isOpen(transaction, code)) return false;
    transaction.state = commits ? "committed" : "aborted";
    this.ended++;
    this.#again = protocol.bumpsEpoch ? protocol.end(this.#who, random.chance(0.5)) : null;
    if (protocol.bumpsEpoch && producer.id === id && producer.epoch <= epoch)
      throw new Violation(`${stream}: the epoch after ${epoch} is ${producer.epoch}`);
    this.#goOnAs(producer, protocol.bumpsEpoch);
    return true;
  }

  /** A batch each to some partitions. False when the transaction has run out of time. */
  async #write(transaction: Transaction): Promise<boolean> {
    const { random, partitions, stream, protocol, topic } = this.options;
    const chosen = new Map<number, SentRecord[]>();
    for (let n = 1 + random.int(3); n > 0; n--) {
      const p = random.int(partitions);
      if (chosen.has(p)) continue;
      const sequence = this.#nextSequence[p]!;
      const records = Array.from({ length: 1 + random.int(3) }, (_, i) => ({ partition: p, sequence: sequence + i, offset: -1 }));
      this.#nextSequence[p] = sequence + records.length;
      chosen.set(p, records);
    }
    const adding = protocol.addPartitions(this.#who, topic, [...chosen.keys()]);
    if (adding !== null && !this.#isOpen(transaction, (await this.#insist(adding, codeOf)).code)) return false;
    const batches = new Map<number, Buffer>();
    for (const [p, records] of chosen) {
      for (const { sequence } of records) this.sent[p]!.set(sequence, transaction);
      transaction.records.push(...records);
      const values = records.map(({ sequence }) => valueFor(stream, p, sequence));
      batches.set(p, batchOf(values, this.#who.producer, this.#sequences.get(p) ?? 0, TRANSACTIONAL));
      this.#sequences.set(p, (this.#sequences.get(p) ?? 0) + records.length);
    }
    const producing = protocol.produce(this.#who, topic, batches);
    const written = await this.#insist(producing, (answers) => worst(answers.values()), protocol.bumpsEpoch);
    if (!this.#isOpen(transaction, worst(written.values()))) return false;
    for (const [p, records] of chosen)
      for (const [i, record] of records.entries()) record.offset = written.get(p)!.baseOffset + i;
    return true;
  }

  async #commitOffset(transaction: Transaction): Promise<boolean> {
    const { protocol, topic } = this.options;
    const adding = protocol.addGroup(this.#who, this.group);
    if (adding !== null && !this.#isOpen(transaction, (await this.#insist(adding, codeOf)).code)) return false;
    transaction.offset = this.transactions.length;
    const committing = protocol.commitOffset(this.#who, this.group, topic, transaction.offset);
    return this.#isOpen(transaction, (await this.#insist(committing, codeOf)).code);
  }

  /** Whether this answer says so. Throws when it should. */
  #isOpen({ name, state, begunMs }: Transaction, code: number): boolean {
    if (code === 0) return true;
    const ageMs = Date.now() - begunMs;
    if (!endings.has(code)) throw new Violation(`${name}, ${state}: error ${code}`);
    if (ageMs < TIMEOUT_MS) throw new Violation(`${name}, ${state}, was refused after ${ageMs} ms: error ${code}`);
    return false;
  }

  /**
   * Asks until there is an answer that means something. `mayLoseAnswer`: sometimes the connection ends first; only for what may be done
   * twice, and late, without harm: in the older protocol the end of a transaction may not, which is why there is a newer one.
   */
  async #insist<T>(what: Exchange<T>, code: (answer: T) => number, mayLoseAnswer = false): Promise<T> {
    const { random } = this.options;
    for (const until = Date.now() + PATIENCE_MS; ; ) {
      try {
        const client = await this.#connected();
        const asking = exchange(client, what);
        if (mayLoseAnswer && random.chance(0.03)) client.close();
        const answer = await asking;
        if (!retriable.has(code(answer))) return answer;
        if (Date.now() > until) throw new Violation(`${this.#who.transactionalId} asks API ${what.api} in vain: ${code(answer)}`);
        await sleep(2 + random.int(10));
      } catch (error) {
        if (!(error instanceof Disconnected)) throw error;
        if (!this.isStopping && random.chance(0.4)) throw new Died();
      }
    }
  }

  async #connected(): Promise<Client> {
    while (this.#client === null || this.#client.closed) {
      this.#client = await Client.open(this.#port).catch(() => null);
      if (this.#client !== null) break;
      if (this.isStopping) throw new Died();
      await sleep(3);
    }
    return this.#client;
  }
}

const codeOf = ({ code }: Coded): number => code;

/** Of some answers to one request: what it asks for again, or else what ends it, or 0. */
function worst(answers: Iterable<Coded>): number {
  const codes = [...answers].map(codeOf).filter((code) => code !== 0);
  return codes.find((code) => retriable.has(code)) ?? codes[0] ?? 0;
}
