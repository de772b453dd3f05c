/** OffsetDelete (47): forgets a group's committed offsets (KIP-496). */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const OffsetDelete = api({
  key: 47,
  name: "OffsetDelete",
  declared: "0",
  flexible: "none",
  request: { groupId: string(), topics: array({ name: string(), partitions: array({ partitionIndex: int32() }) }) },
  response: {
    errorCode: int16(),
    throttleTimeMs: int32().default(0),
    topics: array({ name: string(), partitions: array({ partitionIndex: int32(), errorCode: int16() }) }),
  },
});
export type OffsetDeleteRequest = Request<typeof OffsetDelete>;
export type OffsetDeleteResponse = Response<typeof OffsetDelete>;
