/**
 * Transactions as handlers see them: which partition of __transaction_state an id belongs to, that partition's machine, and what the
 * machine wants done: markers in the partitions of a transaction that has ended, fresh producer ids. Source: TransactionCoordinator.
 */

import type { Logger } from "../base/logger.ts";
import { MemoryBound } from "../base/memory-bound.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadlines } from "../io/deadlines.ts";
import { TRANSACTION_VERSION } from "../metadata/features.ts";
import type { MetadataImage, TopicImage } from "../metadata/image.ts";
import { TRANSACTION_STATE_TOPIC } from "../metadata/topic-name.ts";
import { type ErrorName, errorName, KafkaError } from "../protocol/errors.ts";
import type { ListCommand, ListReply, MarkersReply, TransactionCommand, TransactionReply } from "../txn/commands.ts";
import type { PartitionsByTopic, TransactionRecord } from "../txn/durable.ts";
import { decodeTransactionRecord, encodeTransactionRecord } from "../txn/records.ts";
import { TransactionShard } from "../txn/shard.ts";
import { type Answer, CoordinatorHost, type HostedPartition, type Unaddressed } from "./coordinator-host.ts";
import { partitionOf } from "./group-coordinator.ts";
import type { MarkedPartition, MarkerSurroundings, TransactionMarkers } from "./transaction-markers.ts";

/** The part of the broker that it needs. */
export interface TransactionSurroundings extends MarkerSurroundings {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly logger: Logger;
  readonly image: Pick<MetadataImage, "topicByName" | "featureLevel">;
  readonly topics: { ensureInternal(name: string): Promise<TopicImage> };
  readonly producerIds: { next(): number | Promise<number> };
  readonly markers: TransactionMarkers;
  partition(topic: string, index: number): (HostedPartition & MarkedPartition & { readonly leaderEpoch: number }) | undefined;
  topicConfig(topicId: string): { readonly maxMessageBytes: number; readonly segmentBytes: number };
}

type Kind = Exclude<TransactionCommand["kind"], "list">;
type Host = CoordinatorHost<TransactionCommand, TransactionRecord, TransactionReply>;

/** The command of a kind, without what the coordinator adds. */
type Ask<K extends Kind> = Omit<Extract<TransactionCommand, { kind: K }>, "ticket" | "freshProducerId">;
type ReplyTo<K extends Kind> = Extract<TransactionReply, { kind: K }>;

/** Who wants to write within a transaction. */
export interface Admission {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly epoch: number;
  readonly partitions: PartitionsByTopic;
  /** KIP-890: the partitions are added to the transaction; otherwise they must be in it. */
  readonly adds: boolean;
}

/** Transactions by which partitions are added without being asked for. */
const IMPLICIT_VERSION = 2;
/** Kafka's request.timeout.ms: what is not on the disk by then is answered with an error. */
const REPLY_TIMEOUT_MS = 30_000;
/** After a partition of __transaction_state could not be read. */
const LOAD_AGAIN_MS = 30_000;
/** After the end of a transaction could not be written down. */
const AGAIN_MS = 500;

const codec = { encode: encodeTransactionRecord, decode: decodeTransactionRecord };

export class TransactionCoordinator {
  private readonly broker: TransactionSurroundings;
  private readonly hosts = new Map<number, Host>();
  private readonly memory: MemoryBound;
  private closed = false;

  constructor(broker: TransactionSurroundings) {
    this.broker = broker;
    this.memory = new MemoryBound(broker.config.transactionMaxMemoryBytes);
  }

  /** To be called once, when all partitions are there: transactions that were about to end go on with that, others run out of time. */
  async start(): Promise<void> {
    for (const host of this.allHosts()) await this.load(host);
  }

  /** Transactions must go on though nobody asks: one that cannot be loaded is tried again, however often. */
  private async load(host: Host): Promise<void> {
    host.prepare();
    await host.settled();
    const isLoaded = host.peek(() => true) === true;
    if (isLoaded || this.closed || host.partition.closedWith !== null) return;
    this.broker.deadlines.in(LOAD_AGAIN_MS, () => void this.load(host));
  }

  /**
   * Takes a command to its machine. The answer comes once, now or later. One that has to wait, and `isStale` when its turn comes (its
   * connection closed), is not carried out: by the older protocol it could hit another transaction than was meant.
   */
  ask<K extends Kind>(command: Ask<K>, answer: Answer<ReplyTo<K>>, isStale?: () => boolean): void {
    this.submit(command, null, answer as Answer<TransactionReply>, isStale);
  }

  /** Adds or verifies partitions. The answer is the error of all, null for none; for one that is not in the transaction ask `includes` too. */
  admit({ transactionalId, producerId, epoch, partitions, adds }: Admission, answer: (error: ErrorName | null) => void): void {
    const about = { transactionalId, producerId, epoch, partitions };
    const told = (outcome: KafkaError | { readonly errorCode: number }): void => {
      if (outcome instanceof KafkaError) answer(outcome.error);
      else answer(outcome.errorCode === 0 ? null : errorName(outcome.errorCode));
    };
    const patienceMs = this.broker.config.addPartitionsToTxnRetryBackoffMaxMs;
    if (this.hostFor(transactionalId) === null) answer("COORDINATOR_NOT_AVAILABLE");
    else if (adds) this.ask<"add">({ kind: "add", ...about, clientVersion: IMPLICIT_VERSION, patienceMs }, told);
    else this.ask<"verify">({ kind: "verify", ...about }, told);
  }

  /** Whether at this moment a transaction of this producer is open with the partition in it. */
  includes(transactionalId: string, producerId: number, epoch: number, topic: string, index: number): boolean {
    const look = (machine: unknown) => (machine as TransactionShard).includes(transactionalId, producerId, epoch, topic, index);
    return this.hostFor(transactionalId)?.peek(look) === true;
  }

  /**
   * Resolves when this broker coordinates the id, after making __transaction_state if there is none; false if it does not (yet).
   * Rejects with a KafkaError.
   */
  async coordinates(transactionalId: string): Promise<boolean> {
    await this.broker.topics.ensureInternal(TRANSACTION_STATE_TOPIC);
    const host = this.hostFor(transactionalId);
    host?.prepare(); // the client is about to come
    return host !== null;
  }

  /** The transactions of this broker that fit. Rejects with a KafkaError, COORDINATOR_LOAD_IN_PROGRESS among them. */
  async list(filters: Omit<ListCommand, "kind" | "ticket">): Promise<ListReply["transactions"]> {
    const answers = await Promise.all(this.allHosts().map((host) => listFrom(host, filters)));
    return answers.flat();
  }

  /** Answers everybody who waits; all later commands are answered with NOT_COORDINATOR. */
  close(): void {
    this.closed = true;
    for (const host of this.hosts.values()) host.close();
    this.hosts.clear();
  }

  /** A machine that needs a fresh producer id says so and is asked again. */
  private submit<K extends Kind>(
    command: Ask<K>,
    freshProducerId: number | null,
    answer: Answer<TransactionReply>,
    isStale?: () => boolean,
  ): void {
    const host = this.hostFor((command as unknown as { transactionalId: string }).transactionalId);
    if (host === null) return answer(new KafkaError("NOT_COORDINATOR"));
    const asked = (outcome: TransactionReply | KafkaError): void => {
      if (outcome instanceof KafkaError || outcome.kind !== "need-id") return answer(outcome);
      this.withFreshId((id) => {
        if (id instanceof KafkaError) answer(id);
        else if (isStale?.() === true) answer(new KafkaError("NETWORK_EXCEPTION"));
        else this.submit(command, id, answer, isStale);
      });
    };
    host.submit({ ...command, freshProducerId } as unknown as Unaddressed<TransactionCommand>, asked, isStale);
  }

  private withFreshId(use: (id: number | KafkaError) => void): void {
    const next = this.broker.producerIds.next();
    if (typeof next === "number") return use(next);
    next.then(use, (error: unknown) => use(error instanceof KafkaError ? error : new KafkaError("UNKNOWN_SERVER_ERROR")));
  }

  /** What a machine wants done, once what led to it is durable. */
  private unasked(partitionIndex: number, reply: TransactionReply): void {
    if (reply.kind === "markers") this.tellPartitions(partitionIndex, reply);
    else if (reply.kind === "timed-out") {
      const { transactionalId, producerId, epoch } = reply;
      this.withFreshId((id) => {
        if (id instanceof KafkaError) return; // it is found again
        this.submit<"expire">({ kind: "expire", transactionalId, producerId, epoch }, id, () => {});
      });
    }
  }

  private tellPartitions(partitionIndex: number, { transactionalId, producerId, epoch, ...end }: MarkersReply): void {
    const coordinatorEpoch = this.broker.partition(TRANSACTION_STATE_TOPIC, partitionIndex)?.leaderEpoch ?? 0;
    const marker = { type: end.result, producerId, producerEpoch: epoch, coordinatorEpoch };
    this.broker.markers.writeToAll(end.partitions, marker, end.clientVersion, () =>
      this.noteWritten({ kind: "written", transactionalId, producerId, epoch }),
    );
  }

  /** However often that takes: until then the transaction's id can do nothing. */
  private noteWritten(command: Ask<"written">): void {
    this.ask<"written">(command, (outcome) => {
      if (!(outcome instanceof KafkaError) || this.closed) return;
      this.broker.deadlines.in(AGAIN_MS, () => this.noteWritten(command));
    });
  }

  private hostFor(transactionalId: string): Host | null {
    const topic = this.broker.image.topicByName(TRANSACTION_STATE_TOPIC);
    return topic === undefined ? null : this.hostAt(topic, partitionOf(transactionalId, topic.partitions.length));
  }

  private allHosts(): Host[] {
    const topic = this.broker.image.topicByName(TRANSACTION_STATE_TOPIC);
    return topic?.partitions.flatMap((_, index) => this.hostAt(topic, index) ?? []) ?? [];
  }

  /** Null when the partition is not here. */
  private hostAt(topic: TopicImage, index: number): Host | null {
    const partition = this.closed ? undefined : this.broker.partition(TRANSACTION_STATE_TOPIC, index);
    if (partition === undefined) return null;
    const known = this.hosts.get(index);
    if (known?.partition === partition) return known;
    known?.close(); // of an earlier topic of that name
    const host = this.newHost(partition, topic.id, index);
    this.hosts.set(index, host);
    return host;
  }

  private newHost(partition: HostedPartition, topicId: string, index: number): Host {
    const { broker } = this;
    const { clock, deadlines, logger, config } = broker;
    const shardConfig = {
      transactionalIdExpirationMs: config.transactionalIdExpirationMs,
      abortTimedOutIntervalMs: config.transactionAbortIntervalMs,
      removeExpiredIntervalMs: config.transactionRemoveExpiredIntervalMs,
      transactionVersion: () => broker.image.featureLevel(TRANSACTION_VERSION),
    };
    return new CoordinatorHost<TransactionCommand, TransactionRecord, TransactionReply>({
      partition,
      codec,
      clock,
      deadlines,
      logger,
      create: () => new TransactionShard(shardConfig, this.memory),
      maxBatchBytes() {
        const { maxMessageBytes, segmentBytes } = broker.topicConfig(topicId);
        return Math.min(maxMessageBytes, segmentBytes);
      },
      maxQueued: config.transactionMaxQueuedCommands,
      replyTimeoutMs: REPLY_TIMEOUT_MS,
      unasked: (reply) => this.unasked(index, reply),
    });
  }
}

function listFrom(host: Host, filters: Omit<ListCommand, "kind" | "ticket">): Promise<ListReply["transactions"]> {
  return new Promise((resolve, reject) => {
    host.submit({ kind: "list", ...filters } as Unaddressed<TransactionCommand>, (outcome) => {
      if (outcome instanceof KafkaError) reject(outcome);
      else resolve((outcome as ListReply).transactions);
    });
  });
}
