/**
 * How transactions end: EndTxn by the older protocol and by KIP-890, by a newer producer or by time, and when all partitions know.
 * Source: TransactionCoordinator.endTransaction, endTransactionWithTV1, TransactionMetadata.
 */
import { ErrorCode } from "../protocol/errors.ts";
import type { EndCommand, WrittenCommand } from "./commands.ts";
import { NO_PARTITIONS, type TransactionResult, type TransactionState, type TransactionValue } from "./durable.ts";
import type { Turn } from "./turn.ts";

/** KIP-890: from this version of transactions on, every end bumps the epoch. */
export const EPOCH_BUMP_SINCE = 2;
const MAX_EPOCH = 0x7fff;

/** Short.MAX is left for the coordinator, so that it can always fence. */
export const isExhausted = (epoch: number): boolean => epoch >= MAX_EPOCH - 1;

export function end(turn: Turn, command: EndCommand): void {
  const known = turn.get(command.transactionalId);
  if (known === undefined) turn.refuseEnd(command, "INVALID_PRODUCER_ID_MAPPING");
  else if (command.clientVersion < EPOCH_BUMP_SINCE) endByState(turn, command, known);
  else endByEpoch(turn, command, known);
}

/** The older protocol: whether a request is a repetition shows in the state only. */
function endByState(turn: Turn, command: EndCommand, known: TransactionValue): void {
  const { ticket, transactionalId, result } = command;
  if (known.producerId !== command.producerId) return turn.refuseEnd(command, "INVALID_PRODUCER_ID_MAPPING");
  if (known.producerEpoch !== command.epoch) return turn.refuseEnd(command, "PRODUCER_FENCED");
  if (isEnding(known)) return turn.refuseEnd(command, "CONCURRENT_TRANSACTIONS");
  if (known.state === "Ongoing") {
    prepare(turn, transactionalId, { ...known, clientVersion: 0, nextProducerId: -1 }, result, known.startMs);
  } else if (resultOf(known.state) !== result) return turn.refuseEnd(command, "INVALID_TXN_STATE");
  turn.replies.push({ kind: "end", ticket, errorCode: ErrorCode.NONE, producerId: -1, epoch: -1 });
}

/** Whether its end is decided and not yet known to all partitions. Kafka then says so before it looks at anything else. */
export const isEnding = ({ state }: TransactionValue): boolean => state === "PrepareCommit" || state === "PrepareAbort";

/** How it ended; null if it did not. */
const resultOf = (state: TransactionState): TransactionResult | null =>
  state === "CompleteCommit" ? "commit" : state === "CompleteAbort" ? "abort" : null;

/**
 * KIP-890: a request with the epoch before the present one is a repetition, one with the present epoch is of the transaction that is
 * open now, or that would be: it may be aborted without having begun.
 */
function endByEpoch(turn: Turn, command: EndCommand, known: TransactionValue): void {
  const { ticket, transactionalId, result, epoch } = command;
  if (isEnding(known)) return turn.refuseEnd(command, "CONCURRENT_TRANSACTIONS");
  const overflowed = known.previousProducerId === command.producerId && epoch === MAX_EPOCH - 1 && known.producerEpoch === 0;
  const isAgain = overflowed || known.producerEpoch === epoch + 1;
  if (known.producerId !== command.producerId && !overflowed) return turn.refuseEnd(command, "INVALID_PRODUCER_ID_MAPPING");
  const { state } = known;
  const mayBeAgain = isAgain && resultOf(state) !== null;
  if (epoch !== known.producerEpoch && !mayBeAgain) return turn.refuseEnd(command, "PRODUCER_FENCED");
  if (mayBeAgain) {
    if (resultOf(state) !== result) return turn.refuseEnd(command, "INVALID_TXN_STATE");
    const { producerId, producerEpoch } = known;
    return void turn.replies.push({ kind: "end", ticket, errorCode: ErrorCode.NONE, producerId, epoch: producerEpoch });
  }
  if (state !== "Ongoing" && result === "commit") return turn.refuseEnd(command, "INVALID_TXN_STATE");
  const startMs = state === "Ongoing" ? known.startMs : turn.wallMs;
  const next = bumped(known, command.freshProducerId);
  if (next === null) return void turn.replies.push({ kind: "need-id", ticket });
  prepare(turn, transactionalId, next, result, startMs);
  const after = completed(next, turn.wallMs);
  turn.replies.push({ kind: "end", ticket, errorCode: ErrorCode.NONE, producerId: after.producerId, epoch: after.producerEpoch });
}

/** The value with the epoch that the markers carry; null if it needs a fresh producer id to go on with. */
function bumped(known: TransactionValue, freshProducerId: number | null): TransactionValue | null {
  const needsId = isExhausted(known.producerEpoch);
  if (needsId && freshProducerId === null) return null;
  return {
    ...known,
    producerEpoch: Math.min(known.producerEpoch + 1, MAX_EPOCH),
    lastProducerEpoch: known.producerEpoch,
    nextProducerId: needsId ? freshProducerId! : -1,
    clientVersion: EPOCH_BUMP_SINCE,
  };
}

/** By the older protocol: nobody is told the epoch, and a producer that begins gets the one after, or a new id. */
const fenced = (known: TransactionValue): TransactionValue => ({
  ...known,
  producerEpoch: Math.min(known.producerEpoch + 1, MAX_EPOCH),
  lastProducerEpoch: -1,
  nextProducerId: -1,
  clientVersion: 0,
});

function prepare(turn: Turn, transactionalId: string, next: TransactionValue, result: TransactionResult, startMs: number): void {
  const value: TransactionValue = {
    ...next,
    previousProducerId: next.producerId,
    state: result === "commit" ? "PrepareCommit" : "PrepareAbort",
    startMs,
    updatedMs: turn.wallMs,
  };
  turn.put(transactionalId, value);
  turn.tellPartitions(transactionalId, value);
}

/** Aborts an open transaction whose producer has been replaced, or is out of time. False if that needs a fresh producer id. */
export function fence(turn: Turn, transactionalId: string, known: TransactionValue, freshProducerId: number | null): boolean {
  const next = turn.transactionVersion < EPOCH_BUMP_SINCE ? fenced(known) : bumped(known, freshProducerId);
  if (next === null) return false;
  prepare(turn, transactionalId, next, "abort", known.startMs);
  return true;
}

/** TransactionMetadata.prepareComplete. */
function completed(prepared: TransactionValue, wallMs: number): TransactionValue {
  const { nextProducerId, clientVersion, state } = prepared;
  const rotates = clientVersion >= EPOCH_BUMP_SINCE && nextProducerId !== -1;
  return {
    ...prepared,
    previousProducerId: prepared.producerId,
    producerId: rotates ? nextProducerId : prepared.producerId,
    producerEpoch: rotates ? 0 : prepared.producerEpoch,
    nextProducerId: -1,
    state: state === "PrepareCommit" ? "CompleteCommit" : "CompleteAbort",
    partitions: NO_PARTITIONS,
    updatedMs: wallMs,
  };
}

/** All partitions have the marker. True if that completes the transaction; a late word of an earlier one does not. */
export function complete(turn: Turn, command: WrittenCommand): boolean {
  const known = turn.get(command.transactionalId);
  if (known === undefined || !isEnding(known)) return false;
  if (known.producerId !== command.producerId || known.producerEpoch !== command.epoch) return false;
  turn.put(command.transactionalId, completed(known, turn.wallMs));
  return true;
}
