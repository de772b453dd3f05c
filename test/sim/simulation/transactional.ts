/** Clients with transactions: they write to several partitions, commit offsets of a group, die on the way, and begin anew or go on. */
import { ErrorCode, type ErrorName } from "../../../src/protocol/errors.ts";
import { OffsetFetch } from "../../../src/protocol/messages/09-offset-fetch.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../../../src/protocol/schema.ts";
import type { SeededRandom } from "../seeded-random.ts";
import { GROUP_OF, type Producer, type Surroundings, type Target, TransactionalClient } from "../transactional-client.ts";
import type { Actor, Arena } from "./arena.ts";
import { COMPACTED, type Keeper, type Write } from "./compacted.ts";
import { type PartitionModel, textOf } from "./partition-model.ts";
import { STAYS } from "./producers.ts";
import type { TopicModel } from "./topics-model.ts";
import { Transaction } from "./transactions-model.ts";

/** What a producer hears whose transaction is over, by time or by a later life of its own. */
const OVER: readonly ErrorName[] = ["PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE", "TRANSACTION_ABORTABLE"];
const TOPIC_IS_GONE: readonly ErrorName[] = ["UNKNOWN_TOPIC_OR_PARTITION", "UNKNOWN_TOPIC_ID", "INCONSISTENT_TOPIC_ID"];
/** A double of the end of a transaction comes so late at most. */
const DOUBLE_MS = 30;

interface Place {
  readonly topic: TopicModel;
  readonly partition: PartitionModel;
}

/** How the offsets of its group stand. */
interface Offsets {
  /** The newest that was shown. */
  shown: number;
  readonly transactions: Transaction[];
}

export class TransactionalProducer implements Actor {
  readonly name: string;
  readonly isNewProtocol: boolean;
  readonly timeoutMs: number;
  private readonly arena: Arena;
  private readonly keeper: Keeper;
  /** Producer ids given out so far, to anybody. */
  private readonly given: Set<number>;
  private readonly offsets: Offsets = { shown: -1, transactions: [] };
  private life: Life | null = null;
  private sent = 0;
  private transactions = 0;
  /** The newest that it was told: each is new. */
  private newest: Producer | null = null;

  constructor(arena: Arena, name: string, o: { keeper: Keeper; given: Set<number>; isNewProtocol: boolean }) {
    const { keeper, given, isNewProtocol } = o;
    this.arena = arena;
    this.name = name;
    this.given = given;
    this.keeper = keeper;
    this.isNewProtocol = isNewProtocol;
    this.timeoutMs = arena.random.pick([150, 1000, 5000]);
  }

  /** It has ever committed any. */
  get hasOffsets(): boolean {
    return this.offsets.transactions.some(({ offset }) => offset !== null);
  }

  step(): void {
    const { random } = this.arena;
    if (random.chance(0.04)) this.die();
    else if (this.life !== null && random.chance(0.08)) this.fetchOffsets(random.chance(0.7));
    else if (this.life === null) this.live();
    else this.life.wakeUp();
  }

  /** Without a word to anybody. */
  die(): void {
    if (this.life !== null) this.life.isOver = true;
    this.life = null;
  }

  private live(): void {
    this.life = new Life(this.arena, this);
    const { isNewProtocol, timeoutMs } = this;
    const o = { transactionalId: this.name, isNewProtocol, timeoutMs, offsetsOf: STAYS };
    new TransactionalClient(this.life, o).run().catch((error) => this.arena.world.onUnexpected(error));
  }

  /** What it wrote before, it may have ended by now. */
  replace(): void {
    for (const transaction of this.offsets.transactions) transaction.isReplaced = true;
  }

  begin(producer: Producer): Transaction {
    const { arena, newest, given } = this;
    const { producerId, epoch } = producer;
    if (newest === null) arena.history.check("producer ids are never used again", !given.has(producerId), () => `${producerId}`);
    given.add(producerId);
    // By the older protocol one epoch has many transactions.
    const isNext = newest !== null && newest.producerId === producerId && epoch >= newest.epoch + (this.isNewProtocol ? 1 : 0);
    arena.history.check("an epoch is given once", newest === null || isNext, () => `${this.name}: ${producerId}/${epoch}`);
    this.newest = producer;
    const name = `${this.name}#${++this.transactions}`;
    arena.history.note(`  ${name} is ${producerId}/${epoch}`);
    const transaction = new Transaction(name, this.timeoutMs);
    arena.transactions.begun(transaction);
    this.offsets.transactions.push(transaction);
    return transaction;
  }

  /** The offsets of its group only grow. */
  nextOffset(): number {
    return this.transactions;
  }

  /** By the older protocol only where a name is one topic's for ever: its requests know no ids. */
  target(
    transaction: Transaction,
  ): { target: Target; acknowledge: (baseOffset: number) => void; topic: TopicModel | null } | null {
    const { random, topics } = this.arena;
    if (random.chance(0.2)) return { ...this.compacted(transaction), topic: null };
    const live = topics.live.filter(({ name }) => this.isNewProtocol || name === STAYS);
    if (live.length === 0) return null;
    const topic = random.pick(live);
    return { ...this.data(transaction, { topic, partition: random.pick(topic.partitions) }), topic };
  }

  private data(transaction: Transaction, { topic, partition }: Place) {
    const { arena, name } = this;
    const { random } = arena;
    const padding = random.chance(0.2) ? random.int(1500) : random.int(120);
    const texts = Array.from({ length: 1 + random.int(2) }, () => textOf(name, partition.name, this.sent++, padding));
    for (const text of texts) partition.sent.set(text, arena.history.nowMs);
    arena.transactions.sends(transaction, texts);
    const topicId = topic.name === STAYS ? ZERO_UUID : topic.id;
    const target = {
      topic: topic.name,
      topicId,
      index: partition.index,
      records: texts.map((value) => ({ key: null, value })),
    };
    const acknowledge = (baseOffset: number): void => {
      partition.acknowledge(baseOffset, texts);
      transaction.written.push({ place: partition, offset: baseOffset, texts });
    };
    return { target, acknowledge };
  }

  private compacted(transaction: Transaction) {
    const { arena, name, keeper } = this;
    const { random } = arena;
    const writes: Write[] = Array.from({ length: 1 + random.int(3) }, () => {
      const text = textOf(name, COMPACTED, this.sent++, random.int(200));
      return { key: `${name}.${random.int(3)}`, value: random.chance(0.25) ? null : text, offset: -1, transaction };
    });
    keeper.sends(writes);
    arena.transactions.sends(
      transaction,
      writes.flatMap(({ value }) => value ?? []),
    );
    const records = writes.map(({ key, value }) => ({ key, value }));
    const target = { topic: COMPACTED, topicId: ZERO_UUID, index: 0, records };
    const acknowledge = (baseOffset: number): void => {
      for (const [i, write] of writes.entries()) write.offset = baseOffset + i;
    };
    return { target, acknowledge };
  }

  /** What counts is what was committed. `isStable`: what may still be committed is waited for. `heard` is told whether there was an answer. */
  fetchOffsets(isStable: boolean, heard: (isAnswered: boolean) => void = () => {}): void {
    const { arena, name, offsets } = this;
    const { shown } = offsets;
    const before = offsets.transactions.filter(({ offset, isOffsetWritten }) => offset !== null && isOffsetWritten);
    const committed = before.filter(({ state }) => state === "committed");
    const unknown = before.filter(({ state }) => state === "committing");
    const groups = [{ groupId: GROUP_OF(name), topics: [{ name: STAYS, topicId: ZERO_UUID, partitionIndexes: [0] }] }];
    arena.send(
      `${name} offsets${isStable ? ", stable" : ""}`,
      OffsetFetch,
      9,
      { groups, requireStable: isStable },
      (response) => {
        const group = response?.groups[0];
        const answer = group?.topics[0]?.partitions[0];
        const isAnswered = group?.errorCode === 0 && answer?.errorCode === 0;
        if (isAnswered) {
          this.take(answer.committedOffset, isStable ? committed : [], shown);
          // What is not there and not waited for any more was not committed.
          if (isStable) for (const one of unknown) if (one.offset! > answer.committedOffset) this.decide(one, "aborted");
        }
        heard(isAnswered);
      },
    );
  }

  private take(found: number, committed: readonly Transaction[], shown: number): void {
    const { arena, name, offsets } = this;
    const { history } = arena;
    const least = committed.reduce((most, { offset }) => Math.max(most, offset!), shown);
    history.check("offsets of a transaction count with it", found >= least, () => `${name} is at ${found}, after ${least}`);
    offsets.shown = Math.max(offsets.shown, found);
    const source = offsets.transactions.find(({ offset }) => offset === found);
    if (source !== undefined) this.decide(source, "committed");
    else history.check("offsets of a transaction count with it", found === -1, () => `${name} is at ${found}`);
  }

  private decide(transaction: Transaction, outcome: "committed" | "aborted"): void {
    const counts = outcome === "aborted" || transaction.mayBeCommitted;
    const detail = (): string => `those of ${transaction.name} do, which is ${transaction.state}`;
    this.arena.history.check("offsets of a transaction count with it", counts, detail);
    this.arena.transactions.decided(transaction, outcome, "by its offsets");
  }
}

/** One life of a client: when it is over, nothing goes on that it had begun. */
class Life implements Surroundings<Transaction> {
  readonly random: SeededRandom;
  isOver = false;
  private readonly arena: Arena;
  private readonly producer: TransactionalProducer;
  private wake: (() => void) | null = null;
  private pending: ReturnType<TransactionalProducer["target"]> = null;

  constructor(arena: Arena, producer: TransactionalProducer) {
    this.arena = arena;
    this.producer = producer;
    this.random = arena.random;
  }

  nowMs(): number {
    return this.arena.world.clock.nowMs();
  }

  wakeUp(): void {
    const { wake } = this;
    this.wake = null;
    wake?.();
  }

  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  async ask<A extends AnyApi>(api: A, version: number, request: RequestInput<A>): Promise<Response<A> | null> {
    if (this.random.chance(0.15)) await this.turn();
    return await new Promise((resolve) => {
      if (this.isOver) return;
      this.arena.send(this.producer.name, api, version, request, (response) => {
        if (this.isOver) return;
        if (response === null && this.random.chance(0.3)) this.producer.die();
        else resolve(response);
      });
    });
  }

  double<A extends AnyApi>(api: A, version: number, request: () => RequestInput<A> | null): void {
    const { arena } = this;
    const { lives } = arena.world;
    arena.world.clock.schedule(this.random.fraction() * DOUBLE_MS, () => {
      const again = arena.world.lives === lives && !arena.mayRefuse && !this.isOver ? request() : null;
      if (again !== null) arena.send(`${this.producer.name} once more`, api, version, again, () => {});
    });
  }

  renews(): void {
    this.producer.replace();
  }

  begins(producer: Producer): Transaction {
    return this.producer.begin(producer);
  }

  nextWrite(transaction: Transaction): Target | null {
    this.pending = this.producer.target(transaction);
    if (this.pending !== null) transaction.beganMs ??= this.nowMs();
    return this.pending?.target ?? null;
  }

  wrote(_: Transaction, __: Target, baseOffset: number): void {
    this.pending!.acknowledge(baseOffset);
  }

  nextOffset(transaction: Transaction): number {
    transaction.beganMs ??= this.nowMs();
    return this.producer.nextOffset();
  }

  committedOffset(transaction: Transaction): void {
    transaction.isOffsetWritten = true;
  }

  failed(what: string, error: string, transaction: Transaction | null): void {
    const expected: ErrorName[] = [];
    if (transaction?.mayBeOver(this.nowMs()) === true) expected.push(...OVER);
    if (what === "write" && this.pending?.topic?.deletionSent === true) expected.push(...TOPIC_IS_GONE);
    const codes = expected.map((name) => ErrorCode[name]);
    this.arena.checkCode(`${this.producer.name} ${what}: ${error}`, ErrorCode[error as ErrorName], codes);
  }
}
