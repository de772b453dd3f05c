/** InitProducerId (22). */
import { api, bool, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const InitProducerId = api({
  key: 22,
  name: "InitProducerId",
  declared: "0-6",
  flexible: "2+",
  request: {
    transactionalId: string().nullable(),
    transactionTimeoutMs: int32(),
    producerId: int64("3+").default(-1),
    producerEpoch: int16("3+").default(-1),
    enable2Pc: bool("6+").default(false),
    keepPreparedTxn: bool("6+").default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    producerId: int64().default(-1),
    producerEpoch: int16(),
    ongoingTxnProducerId: int64("6+").default(-1),
    ongoingTxnProducerEpoch: int16("6+").default(-1),
  },
});
export type InitProducerIdRequest = Request<typeof InitProducerId>;
export type InitProducerIdResponse = Response<typeof InitProducerId>;
