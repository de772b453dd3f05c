/**
 * AddOffsetsToTxn (25): a group whose offsets a transaction is about to commit. Version 2 may answer PRODUCER_FENCED (KIP-588), 4
 * TRANSACTION_ABORTABLE (KIP-890).
 */
import { api, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const AddOffsetsToTxn = api({
  key: 25,
  name: "AddOffsetsToTxn",
  declared: "0-4",
  flexible: "3+",
  request: { transactionalId: string(), producerId: int64(), producerEpoch: int16(), groupId: string() },
  response: { throttleTimeMs: int32().default(0), errorCode: int16() },
});
export type AddOffsetsToTxnRequest = Request<typeof AddOffsetsToTxn>;
export type AddOffsetsToTxnResponse = Response<typeof AddOffsetsToTxn>;
