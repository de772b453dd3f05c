import { describe, expect, test } from "bun:test";
import { DescribeCluster } from "../protocol/messages/60-describe-cluster.ts";
import { describeCluster } from "./60-describe-cluster.ts";
import { CLUSTER_OPERATIONS, NO_OPERATIONS, Rig } from "./metadata-rig.ts";

describe("DescribeCluster", () => {
  test("every version", async () => {
    const rig = await Rig.open();
    for (const version of [0, 1, 2]) {
      const answer = await rig.ask(describeCluster, DescribeCluster, version, {
        includeClusterAuthorizedOperations: version === 1,
        includeFencedBrokers: true,
      });
      expect(answer).toEqual({
        throttleTimeMs: 0,
        errorCode: 0,
        errorMessage: null,
        endpointType: 1,
        clusterId: rig.clusterId,
        controllerId: 7,
        brokers: [{ brokerId: 7, host: "advertised", port: 9092, rack: null, isFenced: false }],
        clusterAuthorizedOperations: version === 1 ? CLUSTER_OPERATIONS : NO_OPERATIONS,
      });
    }
  });

  test("we are no controller", async () => {
    const rig = await Rig.open();
    const ask = (endpointType: number) =>
      rig.ask(describeCluster, DescribeCluster, 1, {
        endpointType,
        includeClusterAuthorizedOperations: false,
        includeFencedBrokers: false,
      });
    expect(await ask(2)).toMatchObject({
      errorCode: 114,
      errorMessage: "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
    });
    expect(await ask(9)).toMatchObject({ errorCode: 115, errorMessage: "Unsupported endpoint type 9" });
  });
});
