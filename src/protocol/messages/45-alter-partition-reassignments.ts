/**
 * AlterPartitionReassignments (45): moves partitions between brokers, or stops that (KIP-455). Version 1 may forbid another
 * replication factor (KIP-860).
 */
import { api, array, bool, int16, int32, type Request, type Response, string } from "../schema.ts";

export const AlterPartitionReassignments = api({
  key: 45,
  name: "AlterPartitionReassignments",
  declared: "0-1",
  flexible: "0+",
  request: {
    timeoutMs: int32().default(60000),
    allowReplicationFactorChange: bool("1+").default(true),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), replicas: array(int32()).nullable().default(null) }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    allowReplicationFactorChange: bool("1+").default(true),
    errorCode: int16(),
    errorMessage: string().nullable(),
    responses: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16(), errorMessage: string().nullable() }),
    }),
  },
});
export type AlterPartitionReassignmentsRequest = Request<typeof AlterPartitionReassignments>;
export type AlterPartitionReassignmentsResponse = Response<typeof AlterPartitionReassignments>;
