/** ListTransactions: the transactional ids of this broker, by state, producer and duration (KIP-664, KIP-994). */
import { ListTransactions } from "../protocol/messages/66-list-transactions.ts";
import type { TransactionState } from "../txn/durable.ts";
import { handler } from "./handler.ts";

/** By the names that clients give them; those that no transaction of ours is ever in are known too. */
const STATES: ReadonlyMap<string, TransactionState | null> = new Map([
  ["Empty", "Empty"],
  ["Ongoing", "Ongoing"],
  ["PrepareCommit", "PrepareCommit"],
  ["PrepareAbort", "PrepareAbort"],
  ["CompleteCommit", "CompleteCommit"],
  ["CompleteAbort", "CompleteAbort"],
  ["Dead", null],
  ["PrepareEpochFence", null],
]);

export const listTransactions = handler<typeof ListTransactions>({
  api: ListTransactions,
  served: "0-1",
  async handle(call) {
    const { stateFilters, producerIdFilters, durationFilter: durationMs } = call.request;
    const states = stateFilters.length === 0 ? null : new Set(stateFilters.flatMap((name) => STATES.get(name) ?? []));
    const producerIds = producerIdFilters.length === 0 ? null : new Set(producerIdFilters);
    const found = await call.broker.transactions.list({ states, producerIds, durationMs });
    call.reply({
      errorCode: 0,
      unknownStateFilters: stateFilters.filter((name) => !STATES.has(name)),
      transactionStates: found.map(({ transactionalId, producerId, state }) => ({
        transactionalId,
        producerId,
        transactionState: state,
      })),
    });
  },
  onError: (error) => ({ errorCode: error.code, unknownStateFilters: [], transactionStates: [] }),
});
