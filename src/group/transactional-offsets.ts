/** TxnOffsetCommit: offsets that count when a producer's transaction is committed. Source: OffsetMetadataManager.commitTransactionalOffset. */
import { ErrorCode } from "../protocol/errors.ts";
import type { AnyGroup } from "./any-group.ts";
import type { TransactionalCommitCommand } from "./commands.ts";
import type { ConsumerGroup } from "./consumer/consumer-group.ts";
import { transactionalCommitError } from "./consumer/consumer-offsets.ts";
import type { CommittedOffset } from "./durable.ts";
import type { Group } from "./group.ts";
import { GROUP_BYTES } from "./memory.ts";
import { pendingBytes } from "./pending-offsets.ts";
import { memberError } from "./rebalance.ts";
import type { Turn } from "./turn.ts";

export function commitInTransaction(turn: Turn, group: AnyGroup | undefined, command: TransactionalCommitCommand): void {
  const { ticket, items, groupId, producerId, producerEpoch } = command;
  const errorCode = group?.type === "consumer" ? commitErrorOfConsumer(turn, group, command) : commitError(group, command);
  if (errorCode !== null) {
    turn.replies.push({ kind: "transactional-commit", ticket, errorCodes: items.map(() => errorCode) });
    return;
  }
  let added = group === undefined ? GROUP_BYTES : 0;
  const errorCodes = items.map(({ topic, topicId, partition, offset, leaderEpoch, metadata }) => {
    if (isTooLarge(turn, metadata)) return ErrorCode.OFFSET_METADATA_TOO_LARGE;
    const value: CommittedOffset = {
      offset,
      leaderEpoch,
      metadata: metadata ?? "",
      committedMs: turn.wallMs,
      expiresMs: -1,
      topicId,
    };
    added += pendingBytes(value);
    if (!turn.memory.hasRoomFor(added)) return ErrorCode.INVALID_COMMIT_OFFSET_SIZE;
    const producer = { producerId, producerEpoch };
    turn.records.push({ kind: "offset", groupId, topic, partition, value, producer });
    return ErrorCode.NONE;
  });
  turn.replies.push({ kind: "transactional-commit", ticket, errorCodes });
}

const isTooLarge = (turn: Turn, metadata: string | null): boolean =>
  metadata !== null && metadata.length > turn.config.offsetMetadataMaxBytes;

function commitErrorOfConsumer(turn: Turn, group: ConsumerGroup, command: TransactionalCommitCommand): number | null {
  const items = command.items.filter(({ metadata }) => !isTooLarge(turn, metadata));
  const errorCode = transactionalCommitError(group, command, items);
  return errorCode === ErrorCode.NONE ? null : errorCode;
}

/** ClassicGroup.validateOffsetCommit for transactions: whoever names a member or a generation must be of the present one (KIP-447). */
function commitError(group: Group | undefined, command: TransactionalCommitCommand): number | null {
  const { memberId, instanceId, generationId } = command;
  if (group === undefined) {
    if (generationId < 0) return null; // a client that only keeps offsets here
    return command.knowsGroupIdNotFound ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION;
  }
  if (generationId < 0 && (group.state === "Empty" || (memberId === "" && instanceId === null))) return null;
  const errorCode = memberError(group, memberId, instanceId);
  if (errorCode !== null) return errorCode;
  return generationId === group.generationId ? null : ErrorCode.ILLEGAL_GENERATION;
}
