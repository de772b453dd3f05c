/** DeleteGroups (42): groups without members, with their offsets. */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const DeleteGroups = api({
  key: 42,
  name: "DeleteGroups",
  declared: "0-3",
  flexible: "2+",
  request: { groupsNames: array(string()) },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({ groupId: string(), errorCode: int16(), errorMessage: string("3+").nullable().default(null) }),
  },
});
export type DeleteGroupsRequest = Request<typeof DeleteGroups>;
export type DeleteGroupsResponse = Response<typeof DeleteGroups>;
