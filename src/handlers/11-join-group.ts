/** JoinGroup: thin; who may join what, and when that is answered, is in group/join.ts. */
import { KafkaError } from "../protocol/errors.ts";
import { JoinGroup } from "../protocol/messages/11-join-group.ts";
import { handler } from "./handler.ts";

export const joinGroup = handler<typeof JoinGroup>({
  api: JoinGroup,
  served: "0-9",
  handle(call) {
    const { request, version } = call;
    const { groups } = call.broker;
    const { groupId, memberId, sessionTimeoutMs, protocolType, protocols, reason } = request;
    groups.ask<"join">(
      {
        kind: "join",
        groupId,
        memberId,
        instanceId: request.groupInstanceId,
        clientId: call.clientId,
        clientHost: `/${call.connection.remoteAddress}`,
        sessionTimeoutMs,
        rebalanceTimeoutMs: version === 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
        protocolType,
        protocols,
        reason,
        uuid: groups.newUuid(),
        mustKnowMemberId: version >= 4,
        canSkipAssignment: version >= 9,
      },
      (outcome) => {
        if (outcome instanceof KafkaError) call.fail(outcome);
        else
          call.reply({ ...outcome, protocolName: protocolNameFor(version, outcome.protocolName), members: [...outcome.members] });
      },
    );
    call.releaseRequest(); // what the group keeps, it has copied
  },
  onError: (error, call) => ({
    errorCode: error.code,
    leader: "",
    memberId: "",
    protocolName: protocolNameFor(call.version, null),
    members: [],
  }),
});

/** Before v7 the field could not be null. */
const protocolNameFor = (version: number, name: string | null): string | null =>
  version < 7 ? (name ?? "") : name === "" ? null : name;
