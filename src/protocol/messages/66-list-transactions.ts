/**
 * ListTransactions (66): the transactions of one coordinator (KIP-664). Version 1 filters by duration (KIP-994), 2 by a pattern
 * of their ids (KIP-1152).
 */
import { api, array, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const ListTransactions = api({
  key: 66,
  name: "ListTransactions",
  declared: "0-2",
  flexible: "0+",
  request: {
    stateFilters: array(string()),
    producerIdFilters: array(int64()),
    durationFilter: int64("1+").default(-1),
    transactionalIdPattern: string("2+").nullable().default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    unknownStateFilters: array(string()),
    transactionStates: array({ transactionalId: string(), producerId: int64(), transactionState: string() }),
  },
});
export type ListTransactionsRequest = Request<typeof ListTransactions>;
export type ListTransactionsResponse = Response<typeof ListTransactions>;
