/** SyncGroup: thin; how the leader's assignment gets to all is in group/sync.ts. */
import { KafkaError } from "../protocol/errors.ts";
import { SyncGroup } from "../protocol/messages/14-sync-group.ts";
import { handler } from "./handler.ts";

export const syncGroup = handler<typeof SyncGroup>({
  api: SyncGroup,
  served: "0-5",
  handle(call) {
    const {
      groupId,
      generationId,
      memberId,
      groupInstanceId: instanceId,
      protocolType,
      protocolName,
      assignments,
    } = call.request;
    // KIP-559
    if (call.version >= 5 && (protocolType === null || protocolName === null))
      throw new KafkaError("INCONSISTENT_GROUP_PROTOCOL");
    call.broker.groups.ask<"sync">(
      { kind: "sync", groupId, generationId, memberId, instanceId, protocolType, protocolName, assignments },
      (outcome) => {
        if (outcome instanceof KafkaError) call.fail(outcome);
        else call.reply(outcome);
      },
    );
    call.releaseRequest(); // what the group keeps, it has copied
  },
  onError: (error) => ({ errorCode: error.code, assignment: new Uint8Array(0) }),
});
