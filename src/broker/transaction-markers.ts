/**
 * Tells the partitions of a transaction how it ended: a marker in each, a partition of committed offsets through its coordinator. What
 * cannot be written is tried again until it can be. Source: TransactionMarkerChannelManager, TransactionMarkerRequestCompletionHandler.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadlines } from "../io/deadlines.ts";
import type { TransactionMarker } from "../log/producer-state.ts";
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { PartitionsByTopic } from "../txn/durable.ts";

/** After a marker could not be written: later and later. */
const AGAIN_MS = 100;
const AGAIN_MAX_MS = 5000;

/** The part of a Partition that it needs. */
export interface MarkedPartition {
  readonly log: { readonly logEndOffset: number };
  appendMarker(marker: TransactionMarker, transactionVersion: number): unknown;
  onceDurable(logEndOffset: number, run: (error: KafkaError | null) => void): void;
}

/** The part of the broker that it needs. */
export interface MarkerSurroundings {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly logger: Logger;
  readonly groups: {
    endTransaction(
      index: number,
      marker: TransactionMarker,
      transactionVersion: number,
      answer: (error: KafkaError | null) => void,
    ): void;
  };
  partition(topic: string, index: number): MarkedPartition | undefined;
}

type Done = (error: KafkaError | null) => void;

export class TransactionMarkers {
  private readonly broker: MarkerSurroundings;
  private closed = false;

  constructor(broker: MarkerSurroundings) {
    this.broker = broker;
  }

  close(): void {
    this.closed = true;
  }

  /** Writes the marker to one partition, once; `done` is told when it is durable, or why it is not. May be called back at once. */
  writeTo(topic: string, index: number, marker: TransactionMarker, transactionVersion: number, done: Done): void {
    const { broker } = this;
    const partition = broker.partition(topic, index);
    if (partition === undefined) return done(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    if (topic === GROUP_METADATA_TOPIC) return broker.groups.endTransaction(index, marker, transactionVersion, done);
    try {
      partition.appendMarker(marker, transactionVersion);
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return done(error);
    }
    partition.onceDurable(partition.log.logEndOffset, done);
  }

  /** Writes the marker to all partitions, however long that takes; then `done`. Never when the broker stops before. */
  writeToAll(
    partitions: PartitionsByTopic,
    marker: Omit<TransactionMarker, "timestampMs">,
    version: number,
    done: () => void,
  ): void {
    let left = 1;
    const finish = (): void => {
      if (--left === 0) done();
    };
    for (const [topic, indexes] of partitions) {
      for (const index of indexes) {
        left++;
        this.insist(topic, index, marker, version, 0, finish);
      }
    }
    finish();
  }

  private insist(
    topic: string,
    index: number,
    marker: Omit<TransactionMarker, "timestampMs">,
    version: number,
    attempt: number,
    done: () => void,
  ): void {
    if (this.closed) return;
    const { clock, deadlines, logger } = this.broker;
    this.writeTo(topic, index, { ...marker, timestampMs: clock.nowMs() }, version, (error) => {
      if (error === null) return done();
      const about = { partition: `${topic}-${index}`, producerId: marker.producerId, error: error.error };
      if (isFinal(error)) {
        logger.warn("the end of a transaction does not concern a partition any more", about);
        return done();
      }
      if (this.closed) return;
      if (attempt === 0) logger.warn("the end of a transaction could not be written yet", about);
      const again = (): void => this.insist(topic, index, marker, version, attempt + 1, done);
      deadlines.in(Math.min(AGAIN_MS * 2 ** Math.min(attempt, 10), AGAIN_MAX_MS), again);
    });
  }
}

/** The topic was deleted, or a newer producer has been there. */
const isFinal = ({ error }: KafkaError): boolean =>
  error === "UNKNOWN_TOPIC_OR_PARTITION" || error === "INVALID_PRODUCER_EPOCH" || error === "TRANSACTION_COORDINATOR_FENCED";
