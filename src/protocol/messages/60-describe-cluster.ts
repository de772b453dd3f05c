/** DescribeCluster (60). */
import { api, array, bool, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

/** Authorized operations were not asked for (KIP-430). */
const NO_OPERATIONS = -0x80000000;

export const DescribeCluster = api({
  key: 60,
  name: "DescribeCluster",
  declared: "0-2",
  flexible: "0+",
  request: {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8("1+").default(1),
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
