/** AddOffsetsToTxn: a transaction is about to commit a group's offsets: their partition of __consumer_offsets is added to it. */
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { AddOffsetsToTxn } from "../protocol/messages/25-add-offsets-to-txn.ts";
import { handler } from "./handler.ts";
import { fencedAs } from "./transaction-errors.ts";

const FENCED_SINCE = 2;

export const addOffsetsToTxn = handler<typeof AddOffsetsToTxn>({
  api: AddOffsetsToTxn,
  served: "0-4",
  async handle(call) {
    const { transactionalId, producerId, producerEpoch: epoch, groupId } = call.request;
    const { groups, transactions } = call.broker;
    if (transactionalId === "") throw new KafkaError("INVALID_REQUEST");
    await groups.ensureOffsets();
    const index = groups.offsetsPartitionOf(groupId);
    if (index === null) throw new KafkaError("COORDINATOR_NOT_AVAILABLE");
    if (call.connection.closed) return call.silence(); // it may have been said again elsewhere
    const partitions = new Map([[GROUP_METADATA_TOPIC, new Set([index])]]);
    const about = { transactionalId, producerId, epoch, partitions, clientVersion: 0, patienceMs: 0 };
    const isStale = (): boolean => call.connection.closed;
    transactions.ask<"add">(
      { kind: "add", ...about },
      (outcome) => {
        if (outcome instanceof KafkaError) call.fail(outcome);
        else call.reply({ errorCode: fencedAs(outcome.errorCode, call.version >= FENCED_SINCE) });
      },
      isStale,
    );
  },
  onError: (error) => ({ errorCode: error.code }),
});
