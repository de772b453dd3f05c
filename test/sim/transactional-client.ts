/** One transactional producer of the simulation, by the older protocol or by KIP-890; what it asked for and was told is kept. */

import { errorName } from "../../src/protocol/errors.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { InitProducerId } from "../../src/protocol/messages/22-init-producer-id.ts";
import { AddPartitionsToTxn } from "../../src/protocol/messages/24-add-partitions-to-txn.ts";
import { AddOffsetsToTxn } from "../../src/protocol/messages/25-add-offsets-to-txn.ts";
import { EndTxn } from "../../src/protocol/messages/26-end-txn.ts";
import { TxnOffsetCommit } from "../../src/protocol/messages/28-txn-offset-commit.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../../src/protocol/schema.ts";
import { buildBatch } from "../../src/record/build.ts";
import type { BrokerWorld } from "./broker-world.ts";
import { TOPIC } from "./data-requests.ts";

export const PARTITIONS = 3;
export const GROUP_OF = (client: string): string => `group of ${client}`;

/** A transaction as its producer knows it. "committing": that was asked for, and not answered. */
export interface Told {
  readonly tag: string;
  readonly client: string;
  state: "open" | "committing" | "committed" | "aborting" | "aborted";
  readonly values: string[];
  offset: number | null;
}

const RETRIABLE = new Set([
  "CONCURRENT_TRANSACTIONS",
  "NOT_COORDINATOR",
  "COORDINATOR_NOT_AVAILABLE",
  "COORDINATOR_LOAD_IN_PROGRESS",
  "NOT_ENOUGH_REPLICAS",
]);

export class TransactionalClient {
  private readonly world: BrokerWorld;
  private readonly name: string;
  private readonly life: number;
  private readonly told: Map<string, Told>;
  private readonly isNewProtocol: boolean;
  private readonly bornIn: number;
  private producerId = -1;
  private epoch = -1;
  private readonly sequences = new Map<number, number>();
  private count = 0;

  constructor(world: BrokerWorld, o: { name: string; life: number; told: Map<string, Told>; isNewProtocol: boolean }) {
    this.world = world;
    this.name = o.name;
    this.life = o.life;
    this.told = o.told;
    this.isNewProtocol = o.isNewProtocol;
    this.bornIn = world.lives;
  }

  /** Goes on until the broker dies, and then never ends. */
  async run(): Promise<void> {
    for (;;) {
      await this.init();
      while (await this.transaction()) {}
    }
  }

  private async ask<A extends AnyApi>(api: A, version: number, request: RequestInput<A>): Promise<Response<A>> {
    if (this.world.lives !== this.bornIn) await new Promise(() => {}); // it died with the broker
    const asked = this.world.send(api, version, request);
    await asked.ended;
    return asked.response!;
  }

  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.world.clock.schedule(ms, resolve));
  }

  /** Asks until the answer is not one after which clients come again. */
  private async insist(ask: () => Promise<number>): Promise<string> {
    for (;;) {
      const error = errorName(await ask());
      if (!RETRIABLE.has(error)) return error;
      await this.sleep(5 + this.world.random.int(20));
    }
  }

  private async init(): Promise<void> {
    const request = { transactionalId: this.name, transactionTimeoutMs: 200 };
    const error = await this.insist(async () => {
      const response = await this.ask(InitProducerId, 4, request);
      this.producerId = response.producerId;
      this.epoch = response.producerEpoch;
      return response.errorCode;
    });
    if (error !== "NONE") throw new Error(`init: ${error}`);
    this.sequences.clear();
  }

  /** False if the producer has to begin anew. */
  private async transaction(): Promise<boolean> {
    const { random } = this.world;
    const tag = `${this.name} ${this.life} ${++this.count} ${this.producerId} ${this.epoch}`;
    const told: Told = { tag, client: this.name, state: "open", values: [], offset: null };
    this.told.set(tag, told);
    let error = "NONE";
    for (let writes = random.int(4); writes > 0 && error === "NONE"; writes--) error = await this.write(told);
    if (error === "NONE" && random.chance(0.4)) error = await this.commitOffset(told);
    if (random.chance(0.1)) await this.sleep(random.int(400)); // until it is out of time, perhaps
    if (error !== "NONE" && random.chance(0.5)) return false;
    const isEmpty = told.values.length === 0 && told.offset === null;
    const commits = error === "NONE" && !isEmpty && random.chance(0.7);
    if (isEmpty && !this.isNewProtocol) return true; // the older protocol has nothing to end
    return await this.end(told, commits);
  }

  private async write(told: Told): Promise<string> {
    const { random, clock } = this.world;
    const index = random.int(PARTITIONS);
    const value = `${told.tag}|${index}|${told.values.length}`;
    const sequence = this.sequences.get(index) ?? 0;
    const batch = (): Buffer =>
      buildBatch({
        records: [{ key: null, value: Buffer.from(value), timestampMs: clock.nowMs() }],
        producerId: this.producerId,
        producerEpoch: this.epoch,
        baseSequence: sequence,
        isTransactional: true,
      });
    if (!this.isNewProtocol) {
      const error = await this.addPartition(index);
      if (error !== "NONE") return error;
    }
    told.values.push(value);
    const request = () => ({
      transactionalId: this.name,
      acks: -1,
      timeoutMs: 1000,
      topicData: [{ name: TOPIC, topicId: ZERO_UUID, partitionData: [{ index, records: batch() }] }],
    });
    const error = await this.insist(async () => {
      const response = await this.ask(Produce, this.isNewProtocol ? 12 : 11, request());
      return response.responses[0]!.partitionResponses[0]!.errorCode;
    });
    if (error === "NONE") this.sequences.set(index, sequence + 1);
    return error;
  }

  private addPartition(index: number): Promise<string> {
    const request = {
      v3AndBelowTransactionalId: this.name,
      v3AndBelowProducerId: this.producerId,
      v3AndBelowProducerEpoch: this.epoch,
      v3AndBelowTopics: [{ name: TOPIC, partitions: [index] }],
    };
    return this.insist(async () => {
      const response = await this.ask(AddPartitionsToTxn, 3, request);
      return response.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode;
    });
  }

  private async commitOffset(told: Told): Promise<string> {
    const { producerId, epoch: producerEpoch, name: transactionalId } = this;
    const about = { transactionalId, producerId, producerEpoch, groupId: GROUP_OF(this.name) };
    if (!this.isNewProtocol) {
      const error = await this.insist(async () => (await this.ask(AddOffsetsToTxn, 3, about)).errorCode);
      if (error !== "NONE") return error;
    }
    told.offset = this.life * 10_000 + this.count;
    const partitions = [{ partitionIndex: 0, committedOffset: told.offset, committedMetadata: null }];
    const request = { ...about, topics: [{ name: TOPIC, topicId: ZERO_UUID, partitions }] };
    return await this.insist(async () => {
      const response = await this.ask(TxnOffsetCommit, this.isNewProtocol ? 5 : 3, request);
      return response.topics[0]!.partitions[0]!.errorCode;
    });
  }

  private async end(told: Told, committed: boolean): Promise<boolean> {
    const { random } = this.world;
    const { producerId, epoch: producerEpoch, name: transactionalId } = this;
    const request = { transactionalId, producerId, producerEpoch, committed };
    told.state = committed ? "committing" : "aborting";
    const version = this.isNewProtocol ? 5 : 3;
    // KIP-890: the request may come twice, and its double however late, asking for anything.
    if (this.isNewProtocol && random.chance(0.2))
      this.world.clock.schedule(random.fraction() * 30, () => {
        if (this.world.lives === this.bornIn)
          this.world.send(EndTxn, version, { ...request, committed: committed || told.state !== "aborting" });
      });
    let next = { id: producerId, epoch: producerEpoch };
    const error = await this.insist(async () => {
      const response = await this.ask(EndTxn, version, request);
      if (this.isNewProtocol) next = { id: response.producerId, epoch: response.producerEpoch };
      return response.errorCode;
    });
    if (error !== "NONE") return false;
    told.state = committed ? "committed" : "aborted";
    if (this.isNewProtocol) this.sequences.clear();
    this.producerId = next.id;
    this.epoch = next.epoch;
    return true;
  }
}
