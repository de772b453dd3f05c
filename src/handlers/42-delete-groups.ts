/** DeleteGroups: thin; see group/delete.ts. Each group stands for itself. Source: KafkaApis.handleDeleteGroupsRequest. */
import { KafkaError } from "../protocol/errors.ts";
import { DeleteGroups } from "../protocol/messages/42-delete-groups.ts";
import { handler } from "./handler.ts";

export const deleteGroups = handler<typeof DeleteGroups>({
  api: DeleteGroups,
  served: "0-3",
  async handle(call) {
    const deleted = [...new Set(call.request.groupsNames)].map(
      (groupId) =>
        new Promise<{ groupId: string; errorCode: number }>((resolve) => {
          call.broker.groups.ask<"delete">({ kind: "delete", groupId }, (outcome) =>
            resolve({ groupId, errorCode: outcome instanceof KafkaError ? outcome.code : outcome.errorCode }),
          );
        }),
    );
    call.reply({ results: await Promise.all(deleted) });
  },
  onError: (error, call) => ({
    results: call.request.groupsNames.map((groupId) => ({ groupId, errorCode: error.code })),
  }),
});
