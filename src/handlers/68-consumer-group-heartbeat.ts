/** ConsumerGroupHeartbeat: thin; who may join, and what members are given, is in group/consumer/heartbeat.ts. */
import { listed } from "../group/consumer/assignment.ts";
import { heartbeatFault } from "../group/consumer/heartbeat-validity.ts";
import { randomUuid } from "../io/random.ts";
import { KafkaError } from "../protocol/errors.ts";
import { ConsumerGroupHeartbeat } from "../protocol/messages/68-consumer-group-heartbeat.ts";
import { requireConsumerProtocol } from "./consumer-protocol.ts";
import { handler } from "./handler.ts";

const NOTHING = { memberEpoch: 0, heartbeatIntervalMs: 0 };

export const consumerGroupHeartbeat = handler<typeof ConsumerGroupHeartbeat>({
  api: ConsumerGroupHeartbeat,
  served: "0-1",
  handle(call) {
    const { config, groups, random } = call.broker;
    const { request, version } = call;
    requireConsumerProtocol(call.broker);
    const { groupId, memberId, memberEpoch, instanceId, rackId, rebalanceTimeoutMs, serverAssignor } = request;
    const { subscribedTopicNames: topicNames, subscribedTopicRegex: topicRegex, topicPartitions: owned } = request;
    const member = { groupId, memberId, memberEpoch, instanceId, rackId, rebalanceTimeoutMs, serverAssignor };
    const said = { ...member, topicNames, topicRegex, owned };
    const fault = heartbeatFault(said, version, config.groupConsumerAssignors);
    if (fault !== null) return call.reply({ ...NOTHING, errorCode: fault.errorCode, errorMessage: fault.message });
    const client = { clientId: call.clientId, clientHost: `/${call.connection.remoteAddress}`, uuid: randomUuid(random) };
    groups.ask<"consumer-heartbeat">({ kind: "consumer-heartbeat", ...said, ...client }, (outcome) => {
      if (outcome instanceof KafkaError) return call.fail(outcome);
      const { assignment } = outcome;
      call.reply({ ...outcome, assignment: assignment === null ? null : { topicPartitions: listed(assignment) } });
    });
    call.releaseRequest(); // what the group keeps are strings and numbers
  },
  onError: (error) => ({ ...NOTHING, errorCode: error.code, errorMessage: error.message }),
});
