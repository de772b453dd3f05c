/** Which partitions a transaction writes to. Source: TransactionCoordinator.handleAddPartitionsToTransaction, handleVerifyPartitionsInTransaction. */
import type { MemoryBound } from "../base/memory-bound.ts";
import { ErrorCode, type ErrorName } from "../protocol/errors.ts";
import type { AddCommand, VerifyCommand } from "./commands.ts";
import { NO_PARTITIONS, type PartitionsByTopic, type TransactionValue } from "./durable.ts";
import { isEnding } from "./end.ts";
import { transactionBytes } from "./memory.ts";
import type { Turn } from "./turn.ts";

/** False if it has to wait for the transaction before: nothing was done. */
export function add(turn: Turn, command: AddCommand, memory: MemoryBound): boolean {
  const { ticket, transactionalId, partitions, clientVersion } = command;
  const known = turn.get(transactionalId);
  // The producer may go on with an id that is still to take the place of the present one.
  const isTooEarly = known !== undefined && isEnding(known);
  if (isTooEarly && command.patienceMs > 0) return false;
  const error = isTooEarly ? "CONCURRENT_TRANSACTIONS" : producerError(known, command);
  const added = error === null ? withPartitions(turn, known!, partitions, clientVersion) : null;
  const isTooMuch = added !== null && !memory.hasRoomFor(growth(transactionalId, known!, added));
  if (added !== null && !isTooMuch) turn.put(transactionalId, added);
  turn.replies.push({ kind: "add", ticket, errorCode: ErrorCode[isTooMuch ? "POLICY_VIOLATION" : (error ?? "NONE")] });
  return true;
}

const growth = (transactionalId: string, before: TransactionValue, after: TransactionValue): number =>
  transactionBytes(transactionalId, after) - transactionBytes(transactionalId, before);

export function verify(turn: Turn, command: VerifyCommand): void {
  const known = turn.get(command.transactionalId);
  const error = producerError(known, command);
  const missing = error === null ? without(command.partitions, known!.partitions) : NO_PARTITIONS;
  turn.replies.push({ kind: "verify", ticket: command.ticket, errorCode: ErrorCode[error ?? "NONE"], missing });
}

function producerError(
  known: TransactionValue | undefined,
  { producerId, epoch }: { producerId: number; epoch: number },
): ErrorName | null {
  if (known === undefined || known.producerId !== producerId) return "INVALID_PRODUCER_ID_MAPPING";
  if (known.producerEpoch !== epoch) return "PRODUCER_FENCED";
  return isEnding(known) ? "CONCURRENT_TRANSACTIONS" : null;
}

/** The transaction with the partitions in it, begun if it was not; null if they are in it already. */
function withPartitions(
  turn: Turn,
  known: TransactionValue,
  partitions: PartitionsByTopic,
  clientVersion: number,
): TransactionValue | null {
  const isOngoing = known.state === "Ongoing";
  const before = isOngoing ? known.partitions : NO_PARTITIONS;
  if (isOngoing && without(partitions, before).size === 0) return null;
  const all = new Map(before);
  for (const [topic, indexes] of partitions) all.set(topic, new Set([...(before.get(topic) ?? []), ...indexes]));
  return {
    ...known,
    previousProducerId: known.producerId,
    state: "Ongoing",
    partitions: all,
    startMs: isOngoing ? known.startMs : turn.wallMs,
    updatedMs: turn.wallMs,
    clientVersion,
  };
}

/** Those of `partitions` that are not among `others`. */
function without(partitions: PartitionsByTopic, others: PartitionsByTopic): PartitionsByTopic {
  const left = new Map<string, Set<number>>();
  for (const [topic, indexes] of partitions) {
    const known = others.get(topic);
    const missing = [...indexes].filter((index) => known?.has(index) !== true);
    if (missing.length > 0) left.set(topic, new Set(missing));
  }
  return left;
}
