/**
 * Transactions as the bytes of records in __transaction_state; kafka-dump-log --transaction-log-decoder reads them.
 * Source: TransactionLog, TransactionState.
 */
import { Reader } from "../bytes/reader.ts";
import { dataCodec } from "../protocol/compile.ts";
import { MalformedError } from "../protocol/errors.ts";
import { TransactionLogKey, TransactionLogValue } from "../protocol/records/transactions.ts";
import { decodeVersioned, encodeKey, encodeVersioned, versionOf } from "../protocol/versioned.ts";
import {
  NO_PARTITIONS,
  type PartitionsByTopic,
  type TransactionRecord,
  type TransactionState,
  type TransactionValue,
} from "./durable.ts";

/** What Kafka writes from transaction.version 1 on. */
const VALUE_VERSION = 1;

/** By TransactionState.id. */
const STATES: readonly TransactionState[] = [
  "Empty",
  "Ongoing",
  "PrepareCommit",
  "PrepareAbort",
  "CompleteCommit",
  "CompleteAbort",
];

/** The record's key and value; a null value forgets. Throws RangeError for text that no record can hold (32 KiB). */
export function encodeTransactionRecord({ transactionalId, value }: TransactionRecord): {
  key: Uint8Array;
  value: Uint8Array | null;
} {
  const key = encodeKey(TransactionLogKey, { transactionalId });
  return { key, value: value === null ? null : encodeValue(value) };
}

/** Reads a record back. Null for a type that is not ours. Throws MalformedError, also for versions newer than we know. */
export function decodeTransactionRecord(key: Uint8Array, value: Uint8Array | null): TransactionRecord | null {
  if (versionOf(key) !== TransactionLogKey.recordType) return null;
  const { transactionalId } = dataCodec(TransactionLogKey, 0).decode(new Reader(key, 2));
  return { transactionalId, value: value === null ? null : decodeValue(value) };
}

function encodeValue(value: TransactionValue): Uint8Array {
  const partitions = [...value.partitions].map(([topic, indexes]) => ({ topic, partitionIds: [...indexes] }));
  return encodeVersioned(TransactionLogValue, VALUE_VERSION, {
    producerId: value.producerId,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    producerEpoch: value.producerEpoch,
    transactionTimeoutMs: value.timeoutMs,
    transactionStatus: STATES.indexOf(value.state),
    transactionPartitions: value.state === "Empty" ? null : partitions,
    transactionLastUpdateTimestampMs: value.updatedMs,
    transactionStartTimestampMs: value.startMs,
    clientTransactionVersion: value.clientVersion,
  });
}

function decodeValue(bytes: Uint8Array): TransactionValue {
  const value = decodeVersioned(TransactionLogValue, bytes);
  const state = STATES[value.transactionStatus];
  if (state === undefined) throw new MalformedError(`a transaction in state ${value.transactionStatus}`);
  return {
    producerId: value.producerId,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    producerEpoch: value.producerEpoch,
    lastProducerEpoch: -1,
    timeoutMs: value.transactionTimeoutMs,
    state,
    partitions: state === "Empty" ? NO_PARTITIONS : partitionsOf(value),
    startMs: value.transactionStartTimestampMs,
    updatedMs: value.transactionLastUpdateTimestampMs,
    clientVersion: value.clientTransactionVersion,
  };
}

function partitionsOf({ transactionPartitions }: TransactionLogValue): PartitionsByTopic {
  const partitions = new Map<string, Set<number>>();
  for (const { topic, partitionIds } of transactionPartitions ?? []) {
    const indexes = partitions.get(topic) ?? new Set<number>();
    for (const index of partitionIds) indexes.add(index);
    partitions.set(topic, indexes);
  }
  return partitions;
}
