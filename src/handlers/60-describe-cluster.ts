/** DescribeCluster: the brokers. Source: AuthHelper.computeDescribeClusterResponse. */
import { CLUSTER_OPERATIONS, OPERATIONS_NOT_REQUESTED } from "../broker/topics-authorized-operations.ts";
import { brokerNodes } from "../broker/topics-nodes.ts";
import { KafkaError } from "../protocol/errors.ts";
import { DescribeCluster } from "../protocol/messages/60-describe-cluster.ts";
import { type Call, handler } from "./handler.ts";

/** EndpointType, KIP-919. */
const BROKERS = 1;
const CONTROLLERS = 2;

export const describeCluster = handler<typeof DescribeCluster>({
  api: DescribeCluster,
  served: "0-2",
  handle(call) {
    checkEndpointType(call);
    const { broker, request } = call;
    const brokers = brokerNodes(broker, call.connection);
    call.reply({
      errorCode: 0,
      errorMessage: null,
      endpointType: BROKERS,
      clusterId: broker.image.clusterId,
      controllerId: brokers.some(({ nodeId }) => nodeId === broker.nodeId) ? broker.nodeId : (brokers[0]?.nodeId ?? -1),
      // A broker that is registered is alive: none is fenced, whether the client wants those or not.
      brokers: brokers.map(({ nodeId, host, port, rack }) => ({ brokerId: nodeId, host, port, rack, isFenced: false })),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_NOT_REQUESTED,
    });
  },
  onError: (error) => ({ errorCode: error.code, errorMessage: error.message, clusterId: "", controllerId: -1, brokers: [] }),
});

/** We listen as a broker; nobody can ask us as a controller. */
function checkEndpointType({ request: { endpointType }, version }: Call<typeof DescribeCluster>): void {
  if (endpointType === BROKERS) return;
  if (endpointType === CONTROLLERS) {
    const detail = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
    throw new KafkaError(version === 0 ? "INVALID_REQUEST" : "MISMATCHED_ENDPOINT_TYPE", detail);
  }
  throw new KafkaError(
    version === 0 ? "INVALID_REQUEST" : "UNSUPPORTED_ENDPOINT_TYPE",
    `Unsupported endpoint type ${endpointType}`,
  );
}
