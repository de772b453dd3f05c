/**
 * ListTransactions: the transactional ids of this broker, by state, producer, duration (KIP-664, KIP-994) and pattern (KIP-1152).
 *
 * Where we differ, and why: patterns are matched in linear time, so they are those of RE2 and not of Java (no look-around, no back
 * references: INVALID_REGULAR_EXPRESSION), and match no id with characters beyond ASCII.
 */
import { Regex } from "../group/consumer/regex.ts";
import { PatternError } from "../group/consumer/regex-syntax.ts";
import { KafkaError } from "../protocol/errors.ts";
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
  served: "0-2",
  async handle(call) {
    const { stateFilters, producerIdFilters, durationFilter: durationMs, transactionalIdPattern } = call.request;
    const matches = matcherOf(transactionalIdPattern);
    const states = stateFilters.length === 0 ? null : new Set(stateFilters.flatMap((name) => STATES.get(name) ?? []));
    const producerIds = producerIdFilters.length === 0 ? null : new Set(producerIdFilters);
    const found = await call.broker.transactions.list({ states, producerIds, durationMs });
    call.reply({
      errorCode: 0,
      unknownStateFilters: stateFilters.filter((name) => !STATES.has(name)),
      transactionStates: found.filter(matches).map(({ transactionalId, producerId, state }) => ({
        transactionalId,
        producerId,
        transactionState: state,
      })),
    });
  },
  onError: (error) => ({ errorCode: error.code, unknownStateFilters: [], transactionStates: [] }),
});

/** Which ids fit the pattern as a whole; none, and an empty one, fit all. Throws INVALID_REGULAR_EXPRESSION. */
function matcherOf(pattern: string | null): (transaction: { readonly transactionalId: string }) => boolean {
  if (pattern === null || pattern === "") return () => true;
  try {
    const regex = new Regex(pattern);
    return ({ transactionalId }) => regex.matches(transactionalId);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new KafkaError(
      "INVALID_REGULAR_EXPRESSION",
      `Transaction ID pattern \`${pattern}\` is not a valid regular expression: ${error.message}.`,
    );
  }
}
