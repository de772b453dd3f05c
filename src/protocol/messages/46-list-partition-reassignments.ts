/** ListPartitionReassignments (46): partitions on the move between brokers (KIP-455). */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const ListPartitionReassignments = api({
  key: 46,
  name: "ListPartitionReassignments",
  declared: "0",
  flexible: "0+",
  request: {
    timeoutMs: int32().default(60000),
    // null: all that are on the move
    topics: array({ name: string(), partitionIndexes: array(int32()) })
      .nullable()
      .default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable(),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32()),
        addingReplicas: array(int32()),
        removingReplicas: array(int32()),
      }),
    }),
  },
});
export type ListPartitionReassignmentsRequest = Request<typeof ListPartitionReassignments>;
export type ListPartitionReassignmentsResponse = Response<typeof ListPartitionReassignments>;
