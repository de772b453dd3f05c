/** Heartbeat: thin; see group/leave.ts. */
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { Heartbeat } from "../protocol/messages/12-heartbeat.ts";
import { handler } from "./handler.ts";

export const heartbeat = handler<typeof Heartbeat>({
  api: Heartbeat,
  served: "0-4",
  handle(call) {
    const { groupId, generationId, memberId, groupInstanceId: instanceId } = call.request;
    call.broker.groups.ask<"heartbeat">({ kind: "heartbeat", groupId, generationId, memberId, instanceId }, (outcome) => {
      if (outcome instanceof KafkaError) call.fail(outcome);
      else call.reply({ errorCode: outcome.errorCode });
    });
  },
  // While the group is being loaded nothing is known against the member.
  onError: (error) => ({ errorCode: error.code === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.NONE : error.code }),
});
