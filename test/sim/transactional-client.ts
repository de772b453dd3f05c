/**
 * A transactional producer as the simulations have it, by the older protocol or by KIP-890: one transaction after the other, as far as it gets.
 * Where it lives, what it writes and who keeps what it was told is its surroundings' business.
 */
import { errorName } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24-add-partitions-to-txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25-add-offsets-to-txn.ts";
import { EndTxn } from "../../src/protocol/messages/26-end-txn.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28-txn-offset-commit.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/build.ts";
import type { SeededRandom } from "./seeded-random.ts";

export const GROUP_OF = (client: string): string => `group of ${client}`;

/** A transaction as its producer knows it. "committing": that was asked for, and not answered. */
export interface Told {
  state: "open" | "committing" | "committed" | "aborting" | "aborted";
  /** The group's offset that it commits; null for none. */
  offset: number | null;
}

/** One batch that a transaction is to write. */
export interface Target {
  readonly topic: string;
  /** All zeros: it is asked for by name, as clients of the older protocol always do. */
  readonly topicId: string;
  readonly index: number;
  readonly records: readonly { readonly key: string | null; readonly value: string | null }[];
}

export interface Producer {
  readonly producerId: number;
  readonly epoch: number;
}

export interface Surroundings<T extends Told> {
  readonly random: SeededRandom;
  nowMs(): number;
  /** Null: there will be no answer, and the client goes on as clients do. Never resolves once the client is dead. */
  ask<A extends AnyApi>(api: A, version: number, request: RequestInput<A>): Promise<Response<A> | null>;
  /** Until it is the client's turn: to begin, to ask once more, or after it did nothing for a while. */
  turn(why: "begin" | "again" | "idle"): Promise<void>;
  /** Sends what `request` gives some time later, unless that is null; nobody hears the answer. */
  double<A extends AnyApi>(api: A, version: number, request: () => RequestInput<A> | null): void;
  /** It is about to begin, or begins anew: what it was before is over. */
  renews(): void;
  begins(producer: Producer): T;
  /** What to write next, which is about to be sent; null for nothing at the moment. */
  nextWrite(told: T): Target | null;
  wrote(told: T, target: Target, baseOffset: number): void;
  /** The offset of the group to commit, which is about to be sent. */
  nextOffset(told: T): number;
  committedOffset(told: T): void;
  /** An error that is not one after which clients come again. */
  failed(what: string, error: string, told: T | null, target: Target | null): void;
}

const RETRIABLE = new Set([
  "CONCURRENT_TRANSACTIONS",
  "NOT_COORDINATOR",
  "COORDINATOR_NOT_AVAILABLE",
  "COORDINATOR_LOAD_IN_PROGRESS",
  "NOT_ENOUGH_REPLICAS",
]);

export interface ClientOptions {
  readonly transactionalId: string;
  readonly isNewProtocol: boolean;
  readonly timeoutMs: number;
  /** The topic whose partition 0 it commits offsets of. */
  readonly offsetsOf: string;
}

export class TransactionalClient<T extends Told> {
  private readonly around: Surroundings<T>;
  private readonly o: ClientOptions;
  private producerId = -1;
  private epoch = -1;
  /** By partition. */
  private readonly sequences = new Map<string, number>();
  /** The transaction has a partition to write to. */
  private hasBegun = false;

  constructor(around: Surroundings<T>, o: ClientOptions) {
    this.around = around;
    this.o = o;
  }

  /** Goes on until it dies, and then never ends. */
  async run(): Promise<void> {
    for (;;) {
      await this.around.turn("begin");
      if (await this.init()) while (await this.transaction()) await this.around.turn("begin");
    }
  }

  /** Asks until the answer is not one after which clients come again. */
  private async insist(what: string, told: T | null, target: Target | null, ask: () => Promise<number | null>): Promise<boolean> {
    for (;;) {
      const code = await ask();
      const error = code === null ? null : errorName(code);
      if (error === "NONE") return true;
      if (error !== null && !RETRIABLE.has(error)) {
        this.around.failed(what, error, told, target);
        return false;
      }
      await this.around.turn("again");
    }
  }

  private async init(): Promise<boolean> {
    const { transactionalId, timeoutMs: transactionTimeoutMs } = this.o;
    this.around.renews();
    this.sequences.clear();
    return await this.insist("init", null, null, async () => {
      const response = await this.around.ask(InitProducerId, 4, { transactionalId, transactionTimeoutMs });
      this.producerId = response?.producerId ?? -1;
      this.epoch = response?.producerEpoch ?? -1;
      return response?.errorCode ?? null;
    });
  }

  /** False if the producer has to begin anew. */
  private async transaction(): Promise<boolean> {
    const { around } = this;
    const { random } = around;
    const told = around.begins({ producerId: this.producerId, epoch: this.epoch });
    let isFine = true;
    this.hasBegun = false;
    for (let writes = random.int(4); writes > 0 && isFine; writes--) {
      const target = around.nextWrite(told);
      if (target === null) continue;
      isFine = await this.write(told, target);
    }
    if (isFine && random.chance(0.4)) isFine = await this.commitOffset(told);
    if (random.chance(0.1)) await around.turn("idle"); // until it is out of time, perhaps
    if (!isFine && random.chance(0.5)) return false;
    const isEmpty = !this.hasBegun && told.offset === null;
    const commits = isFine && !isEmpty && random.chance(0.7);
    if (isEmpty && !this.o.isNewProtocol) return isFine; // the older protocol has nothing to end
    // After an error, what was written is not known: with the epoch go the sequences (KIP-360).
    return (await this.end(told, commits)) && (isFine || this.o.isNewProtocol);
  }

  private async write(told: T, target: Target): Promise<boolean> {
    const { around, o } = this;
    const { topic, topicId, index, records } = target;
    const place = `${topic} ${topicId} ${index}`;
    const sequence = this.sequences.get(place) ?? 0;
    const batch = (): Buffer =>
      buildBatch({
        records: records.map(({ key, value }) => ({ key: bytes(key), value: bytes(value), timestampMs: around.nowMs() })),
        producerId: this.producerId,
        producerEpoch: this.epoch,
        baseSequence: sequence,
        isTransactional: true,
      });
    if (!o.isNewProtocol && !(await this.addPartition(told, target))) return false;
    this.hasBegun = true;
    const request = () => ({
      transactionalId: o.transactionalId,
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: topicId === ZERO_UUID ? topic : "", topicId, partitionData: [{ index, records: batch() }] }],
    });
    const version = o.isNewProtocol ? (topicId === ZERO_UUID ? 12 : 13) : 11;
    const isDone = await this.insist("write", told, target, async () => {
      const answer = (await around.ask(Produce, version, request()))?.responses[0]?.partitionResponses[0];
      if (answer?.errorCode === 0) around.wrote(told, target, answer.baseOffset);
      return answer?.errorCode ?? null;
    });
    if (isDone) this.sequences.set(place, sequence + records.length);
    return isDone;
  }

  private addPartition(told: T, target: Target): Promise<boolean> {
    const request = {
      v3AndBelowTransactionalId: this.o.transactionalId,
      v3AndBelowProducerId: this.producerId,
      v3AndBelowProducerEpoch: this.epoch,
      v3AndBelowTopics: [{ name: target.topic, partitions: [target.index] }],
    };
    return this.insist("add", told, target, async () => {
      const response = await this.around.ask(AddPartitionsToTxn, 3, request);
      return response?.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode ?? null;
    });
  }

  private async commitOffset(told: T): Promise<boolean> {
    const { producerId, epoch: producerEpoch, around } = this;
    const { transactionalId, isNewProtocol, offsetsOf } = this.o;
    const about = { transactionalId, producerId, producerEpoch, groupId: GROUP_OF(transactionalId) };
    const offset = around.nextOffset(told);
    if (!isNewProtocol) {
      const add = async () => (await around.ask(AddOffsetsToTxn, 3, about))?.errorCode ?? null;
      if (!(await this.insist("add offsets", told, null, add))) return false;
    }
    told.offset = offset;
    const partitions = [{ partitionIndex: 0, committedOffset: offset, committedMetadata: null }];
    const request = { ...about, topics: [{ name: offsetsOf, topicId: ZERO_UUID, partitions }] };
    const isDone = await this.insist("commit offset", told, null, async () => {
      const response = await around.ask(TxnOffsetCommit, isNewProtocol ? 5 : 3, request);
      return response?.topics[0]?.partitions[0]?.errorCode ?? null;
    });
    if (isDone) around.committedOffset(told);
    return isDone;
  }

  private async end(told: T, committed: boolean): Promise<boolean> {
    const { around, o } = this;
    const { random } = around;
    const { producerId, epoch: producerEpoch } = this;
    const request = { transactionalId: o.transactionalId, producerId, producerEpoch, committed };
    told.state = committed ? "committing" : "aborting";
    const version = o.isNewProtocol ? 5 : 3;
    // KIP-890: the request may come twice, and its double however late, asking for anything.
    if (o.isNewProtocol && random.chance(0.2))
      around.double(EndTxn, version, () => ({ ...request, committed: committed || told.state !== "aborting" }));
    let next: Producer = { producerId, epoch: producerEpoch };
    const isDone = await this.insist("end", told, null, async () => {
      const response = await around.ask(EndTxn, version, request);
      if (response !== null && o.isNewProtocol) next = { producerId: response.producerId, epoch: response.producerEpoch };
      return response?.errorCode ?? null;
    });
    if (!isDone) return false;
    told.state = committed ? "committed" : "aborted";
    if (o.isNewProtocol) this.sequences.clear();
    this.producerId = next.producerId;
    this.epoch = next.epoch;
    return true;
  }
}

const bytes = (text: string | null): Buffer | null => (text === null ? null : Buffer.from(text));
