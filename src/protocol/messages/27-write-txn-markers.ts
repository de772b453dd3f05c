/**
 * WriteTxnMarkers (27): a transaction coordinator has the leaders of a transaction's partitions write its end. Version 2 tells
 * the transaction version (KIP-1228).
 */
import { api, array, bool, int8, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const WriteTxnMarkers = api({
  key: 27,
  name: "WriteTxnMarkers",
  declared: "1-2",
  flexible: "1+",
  request: {
    markers: array({
      producerId: int64(),
      producerEpoch: int16(),
      transactionResult: bool(),
      topics: array({ name: string(), partitionIndexes: array(int32()) }),
      coordinatorEpoch: int32(),
      transactionVersion: int8("2+").default(0),
    }),
  },
  response: {
    markers: array({
      producerId: int64(),
      topics: array({ name: string(), partitions: array({ partitionIndex: int32(), errorCode: int16() }) }),
    }),
  },
});
export type WriteTxnMarkersRequest = Request<typeof WriteTxnMarkers>;
export type WriteTxnMarkersResponse = Response<typeof WriteTxnMarkers>;
