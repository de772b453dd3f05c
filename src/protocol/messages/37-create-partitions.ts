/** CreatePartitions (37): more partitions for a topic. Version 3 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599). */
import { api, array, bool, int16, int32, type Request, type Response, string } from "../schema.ts";

export const CreatePartitions = api({
  key: 37,
  name: "CreatePartitions",
  declared: "0-3",
  flexible: "2+",
  request: {
    topics: array({ name: string(), count: int32(), assignments: array({ brokerIds: array(int32()) }).nullable() }),
    timeoutMs: int32(),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({ name: string(), errorCode: int16(), errorMessage: string().nullable().default(null) }),
  },
});
export type CreatePartitionsRequest = Request<typeof CreatePartitions>;
export type CreatePartitionsResponse = Response<typeof CreatePartitions>;
