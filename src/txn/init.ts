/** InitProducerId with a transactional id: a producer begins, fences those before it, or goes on with a new epoch (KIP-360). Source: TransactionCoordinator.handleInitProducerId. */
import type { MemoryBound } from "../base/memory-bound.ts";
import { ErrorCode, type ErrorName } from "../protocol/errors.ts";
import type { InitCommand } from "./commands.ts";
import { NO_PARTITIONS, type TransactionValue } from "./durable.ts";
import { fence, isEnding, isExhausted } from "./end.ts";
import { transactionBytes } from "./memory.ts";
import type { Turn } from "./turn.ts";

export function init(turn: Turn, command: InitCommand, memory: MemoryBound): void {
  const known = turn.get(command.transactionalId);
  if (known === undefined) return begin(turn, command, memory);
  if (isEnding(known)) return turn.refuseInit(command, "CONCURRENT_TRANSACTIONS");
  const error = expectationError(known, command);
  if (error !== null) return turn.refuseInit(command, error);
  if (known.state !== "Ongoing") return renew(turn, command, known);
  // It is aborted under an epoch that nobody is told; the client comes again and gets the one after.
  if (fence(turn, command.transactionalId, known, command.freshProducerId)) turn.refuseInit(command, "CONCURRENT_TRANSACTIONS");
  else turn.replies.push({ kind: "need-id", ticket: command.ticket });
}

function begin(turn: Turn, command: InitCommand, memory: MemoryBound): void {
  const { ticket, freshProducerId: producerId, timeoutMs } = command;
  if (producerId === null) return void turn.replies.push({ kind: "need-id", ticket });
  const created: TransactionValue = {
    producerId,
    previousProducerId: -1,
    nextProducerId: -1,
    producerEpoch: -1,
    lastProducerEpoch: -1,
    timeoutMs,
    state: "Empty",
    partitions: NO_PARTITIONS,
    startMs: -1,
    updatedMs: turn.wallMs,
    clientVersion: 0,
  };
  if (!memory.hasRoomFor(transactionBytes(command.transactionalId, created))) return turn.refuseInit(command, "POLICY_VIOLATION");
  renew(turn, command, created);
}

/** Who says which producer it was must have been the last one, or have missed the answer that gave it another id. */
function expectationError(
  { producerEpoch, producerId, previousProducerId }: TransactionValue,
  { expected }: InitCommand,
): ErrorName | null {
  if (expected === null || producerEpoch === -1 || expected.producerId === producerId) return null;
  return expected.producerId === previousProducerId && isExhausted(expected.epoch) ? null : "PRODUCER_FENCED";
}

function renew(turn: Turn, command: InitCommand, known: TransactionValue): void {
  const { ticket, transactionalId, timeoutMs, expected, freshProducerId } = command;
  const empty = {
    ...known,
    previousProducerId: known.producerId,
    state: "Empty" as const,
    partitions: NO_PARTITIONS,
    timeoutMs,
    startMs: -1,
    updatedMs: turn.wallMs,
  };
  let value: TransactionValue;
  if (isExhausted(known.producerEpoch) && (expected === null || expected.epoch === known.producerEpoch)) {
    if (freshProducerId === null) return void turn.replies.push({ kind: "need-id", ticket });
    const lastProducerEpoch = expected === null ? -1 : known.producerEpoch;
    value = { ...empty, producerId: freshProducerId, producerEpoch: 0, lastProducerEpoch };
  } else if (expected === null) {
    value = { ...empty, producerEpoch: known.producerEpoch + 1, lastProducerEpoch: -1 };
  } else if (known.producerEpoch === -1 || expected.epoch === known.producerEpoch) {
    value = { ...empty, producerEpoch: known.producerEpoch + 1, lastProducerEpoch: known.producerEpoch };
  } else if (expected.epoch === known.lastProducerEpoch) {
    value = empty; // asked again: the answer was lost
  } else return turn.refuseInit(command, "PRODUCER_FENCED");
  turn.put(transactionalId, value);
  turn.replies.push({
    kind: "init",
    ticket,
    errorCode: ErrorCode.NONE,
    producerId: value.producerId,
    epoch: value.producerEpoch,
  });
}
