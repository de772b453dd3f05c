/**
 * ListGroups (16): the groups of one coordinator. Version 4 filters by state and tells it (KIP-518), 5 does the same for the type
 * (KIP-848).
 */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const ListGroups = api({
  key: 16,
  name: "ListGroups",
  declared: "0-5",
  flexible: "3+",
  request: { statesFilter: array(string(), "4+").default([]), typesFilter: array(string(), "5+").default([]) },
  response: {
    throttleTimeMs: int32("1+").default(0),
    errorCode: int16(),
    groups: array({
      groupId: string(),
      protocolType: string(),
      groupState: string("4+").default(""),
      groupType: string("5+").default(""),
    }),
  },
});
export type ListGroupsRequest = Request<typeof ListGroups>;
export type ListGroupsResponse = Response<typeof ListGroups>;
