/**
 * InitProducerId (22): an id for an idempotent producer, or for a transactional one, whose older instances it fences.
 * Version 3 lets a producer bump its own epoch (KIP-360), 4 answers PRODUCER_FENCED (KIP-588), 5 may answer TRANSACTION_ABORTABLE (KIP-890),
 * 6 brought two-phase commit (KIP-939): Kafka calls it unstable and does not advertise it.
 */
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
