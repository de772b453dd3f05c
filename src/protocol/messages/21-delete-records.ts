/** DeleteRecords (21): moves the log start of partitions up to an offset, -1 for the high watermark (KIP-107). */
import { api, array, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const DeleteRecords = api({
  key: 21,
  name: "DeleteRecords",
  declared: "0-2",
  flexible: "2+",
  request: {
    topics: array({ name: string(), partitions: array({ partitionIndex: int32(), offset: int64() }) }),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({ name: string(), partitions: array({ partitionIndex: int32(), lowWatermark: int64(), errorCode: int16() }) }),
  },
});
export type DeleteRecordsRequest = Request<typeof DeleteRecords>;
export type DeleteRecordsResponse = Response<typeof DeleteRecords>;
