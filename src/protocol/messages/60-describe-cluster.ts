/** DescribeCluster (60, KIP-700). Version 1 tells brokers from controllers (KIP-919), 2 shows fenced brokers (KIP-1073). */
import { api, array, bool, int8, int16, int32, NO_OPERATIONS, type Request, type Response, string } from "../schema.ts";

export const DescribeCluster = api({
  key: 60,
  name: "DescribeCluster",
  declared: "0-2",
  flexible: "0+",
  request: {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8("1+").default(1), // 1 brokers, 2 controllers
    includeFencedBrokers: bool("2+"),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable().default(null),
    endpointType: int8("1+").default(1),
    clusterId: string(),
    controllerId: int32().default(-1),
    brokers: array({
      brokerId: int32(),
      host: string(),
      port: int32(),
      rack: string().nullable().default(null),
      isFenced: bool("2+"),
    }),
    clusterAuthorizedOperations: int32().default(NO_OPERATIONS),
  },
});
export type DescribeClusterRequest = Request<typeof DescribeCluster>;
export type DescribeClusterResponse = Response<typeof DescribeCluster>;
