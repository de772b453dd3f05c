/** DescribeTransactions: the state of transactional ids (KIP-664). */
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { DescribeTransactions } from "../protocol/messages/65-describe-transactions.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import type { DescribedTransaction } from "../txn/commands.ts";
import { type Call, handler } from "./handler.ts";

type Answer = ResponseInput<typeof DescribeTransactions>["transactionStates"][number];

export const describeTransactions = handler<typeof DescribeTransactions>({
  api: DescribeTransactions,
  served: "0",
  async handle(call) {
    const transactionStates = await Promise.all(call.request.transactionalIds.map((id) => describe(call, id)));
    call.reply({ transactionStates });
  },
  onError: (error, { request }) => ({ transactionStates: request.transactionalIds.map((id) => refused(id, error.code)) }),
});

function describe(call: Call<typeof DescribeTransactions>, transactionalId: string): Promise<Answer> {
  if (transactionalId === "") return Promise.resolve(refused(transactionalId, ErrorCode.INVALID_REQUEST));
  return new Promise((resolve) => {
    call.broker.transactions.ask<"describe">({ kind: "describe", transactionalId }, (outcome) => {
      if (outcome instanceof KafkaError) resolve(refused(transactionalId, outcome.code));
      else if (outcome.transaction === null) resolve(refused(transactionalId, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND));
      else resolve(answerOf(outcome.transaction));
    });
  });
}

const answerOf = ({
  transactionalId,
  state,
  timeoutMs,
  startMs,
  producerId,
  epoch,
  partitions,
}: DescribedTransaction): Answer => ({
  errorCode: ErrorCode.NONE,
  transactionalId,
  transactionState: state,
  transactionTimeoutMs: timeoutMs,
  transactionStartTimeMs: startMs,
  producerId,
  producerEpoch: epoch,
  topics: [...partitions].map(([topic, indexes]) => ({ topic, partitions: [...indexes] })),
});

const refused = (transactionalId: string, errorCode: number): Answer => ({
  errorCode,
  transactionalId,
  transactionState: "",
  transactionTimeoutMs: 0,
  transactionStartTimeMs: 0,
  producerId: 0,
  producerEpoch: 0,
  topics: [],
});
