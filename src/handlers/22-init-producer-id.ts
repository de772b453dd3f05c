/** InitProducerId for idempotent producers: a fresh id with epoch 0. Transactional ids come with transactions and are refused until then. */
import { KafkaError } from "../protocol/errors.ts";
import { InitProducerId } from "../protocol/messages/22-init-producer-id.ts";
import { handler } from "./handler.ts";

export const initProducerId = handler<typeof InitProducerId>({
  api: InitProducerId,
  served: "0-5",
  async handle(call) {
    const { transactionalId, producerId: oldId, producerEpoch: oldEpoch } = call.request;
    // Both or neither. Without a transactional id they mean nothing beyond that, and any client gets a new id.
    if ((oldId === -1) !== (oldEpoch === -1) || transactionalId === "") throw new KafkaError("INVALID_REQUEST");
    // Not retriable, so that a transactional producer fails at once instead of asking for ever.
    if (transactionalId !== null)
      throw new KafkaError("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "transactions are not served yet");
    const producerId = await call.broker.producerIds.next();
    call.reply({ errorCode: 0, producerId, producerEpoch: 0 });
  },
  onError: (error) => ({ errorCode: error.code, producerId: -1, producerEpoch: -1 }),
});
