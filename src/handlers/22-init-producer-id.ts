/**
 * InitProducerId: a fresh id with epoch 0 for idempotent producers; for transactional ones the id and epoch of the transactional id,
 * which fences those that had it before.
 */
import { KafkaError } from "../protocol/errors.ts";
import { InitProducerId } from "../protocol/messages/22-init-producer-id.ts";
import { handler } from "./handler.ts";
import { fencedAs } from "./transaction-errors.ts";

const FENCED_SINCE = 4;

export const initProducerId = handler<typeof InitProducerId>({
  api: InitProducerId,
  served: "0-5",
  async handle(call) {
    const { transactionalId, transactionTimeoutMs: timeoutMs, producerId: oldId, producerEpoch: oldEpoch } = call.request;
    const { producerIds, transactions, config } = call.broker;
    // Both or neither. Without a transactional id they mean nothing beyond that, and any client gets a new id.
    if ((oldId === -1) !== (oldEpoch === -1) || transactionalId === "") throw new KafkaError("INVALID_REQUEST");
    if (transactionalId === null) {
      const producerId = await producerIds.next();
      return call.reply({ errorCode: 0, producerId, producerEpoch: 0 });
    }
    if (timeoutMs <= 0 || timeoutMs > config.transactionMaxTimeoutMs) throw new KafkaError("INVALID_TRANSACTION_TIMEOUT");
    const expected = oldId === -1 ? null : { producerId: oldId, epoch: oldEpoch };
    transactions.ask<"init">({ kind: "init", transactionalId, timeoutMs, expected }, (outcome) => {
      if (outcome instanceof KafkaError) return call.fail(outcome);
      const errorCode = fencedAs(outcome.errorCode, call.version >= FENCED_SINCE);
      call.reply({ errorCode, producerId: outcome.producerId, producerEpoch: outcome.epoch });
    });
  },
  onError: (error) => ({ errorCode: error.code, producerId: -1, producerEpoch: -1 }),
});
