/** EndTxn: commits or aborts a transaction. From v5 on every end bumps the epoch, and is told with which the producer goes on (KIP-890). */
import { KafkaError } from "../protocol/errors.ts";
import { EndTxn } from "../protocol/messages/26-end-txn.ts";
import { handler } from "./handler.ts";
import { fencedAs } from "./transaction-errors.ts";

const FENCED_SINCE = 2;
const EPOCH_BUMP_SINCE = 5;

export const endTxn = handler<typeof EndTxn>({
  api: EndTxn,
  served: "0-5",
  handle(call) {
    const { transactionalId, producerId, producerEpoch: epoch, committed } = call.request;
    if (transactionalId === "") throw new KafkaError("INVALID_REQUEST");
    const clientVersion = call.version >= EPOCH_BUMP_SINCE ? 2 : 0;
    const result = committed ? ("commit" as const) : ("abort" as const);
    const about = { transactionalId, producerId, epoch, result, clientVersion };
    const isStale = (): boolean => call.connection.closed;
    call.broker.transactions.ask<"end">(
      { kind: "end", ...about },
      (outcome) => {
        if (outcome instanceof KafkaError) return call.fail(outcome);
        const errorCode = fencedAs(outcome.errorCode, call.version >= FENCED_SINCE);
        call.reply({ errorCode, producerId: outcome.producerId, producerEpoch: outcome.epoch });
      },
      isStale,
    );
  },
  onError: (error) => ({ errorCode: error.code }),
});
