/** LeaveGroup: thin; see group/leave.ts. Since v3 several members leave at once, each with its own answer. */
import { KafkaError } from "../protocol/errors.ts";
import { LeaveGroup } from "../protocol/messages/13-leave-group.ts";
import { handler } from "./handler.ts";

const BATCHED_SINCE = 3;

export const leaveGroup = handler<typeof LeaveGroup>({
  api: LeaveGroup,
  served: "0-5",
  handle(call) {
    const { groupId, memberId, members } = call.request;
    const leaving =
      call.version < BATCHED_SINCE
        ? [{ memberId, instanceId: null, reason: null }]
        : members.map((member) => ({ memberId: member.memberId, instanceId: member.groupInstanceId, reason: member.reason }));
    call.broker.groups.ask<"leave">({ kind: "leave", groupId, members: leaving }, (outcome) => {
      if (outcome instanceof KafkaError) call.fail(outcome);
      else if (call.version >= BATCHED_SINCE) call.reply({ errorCode: outcome.errorCode, members: [...outcome.members] });
      else call.reply({ errorCode: outcome.errorCode || (outcome.members[0]?.errorCode ?? 0), members: [] });
    });
  },
  onError: (error) => ({ errorCode: error.code, members: [] }),
});
