/**
 * EndTxn (26): commits or aborts a transaction. Version 2 may answer PRODUCER_FENCED (KIP-588), 4 TRANSACTION_ABORTABLE, 5 bumps
 * the epoch with every transaction and gives the next one back (KIP-890).
 */
import { api, bool, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const EndTxn = api({
  key: 26,
  name: "EndTxn",
  declared: "0-5",
  flexible: "3+",
  request: { transactionalId: string(), producerId: int64(), producerEpoch: int16(), committed: bool() },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    producerId: int64("5+").default(-1),
    producerEpoch: int16("5+").default(-1),
  },
});
export type EndTxnRequest = Request<typeof EndTxn>;
export type EndTxnResponse = Response<typeof EndTxn>;
