/** ListGroups: thin; see group/describe.ts. Filters by state since v4 (KIP-518), by type since v5 (KIP-848). */
import { ErrorCode } from "../protocol/errors.ts";
import { ListGroups } from "../protocol/messages/16-list-groups.ts";
import { handler } from "./handler.ts";

export const listGroups = handler<typeof ListGroups>({
  api: ListGroups,
  served: "0-5",
  async handle(call) {
    const { statesFilter, typesFilter } = call.request;
    const groups = await call.broker.groups.list(statesFilter, typesFilter);
    call.reply({
      errorCode: ErrorCode.NONE,
      groups: groups.map(({ groupId, protocolType, state, type }) => ({
        groupId,
        protocolType,
        groupState: state,
        groupType: type,
      })),
    });
  },
  onError: (error) => ({ errorCode: error.code, groups: [] }),
});
