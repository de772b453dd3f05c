/**
 * DescribeGroups (15): members and state of classic groups. Version 3 gives authorized operations (KIP-430), 4 static members
 * (KIP-345), 6 an error's message and GROUP_ID_NOT_FOUND (KIP-1043).
 */
import { api, array, bool, bytes, int16, int32, NO_OPERATIONS, type Request, type Response, string } from "../schema.ts";

export const DescribeGroups = api({
  key: 15,
  name: "DescribeGroups",
  declared: "0-6",
  flexible: "5+",
  request: { groups: array(string()), includeAuthorizedOperations: bool("3+").default(false) },
  response: {
    throttleTimeMs: int32("1+").default(0),
    groups: array({
      errorCode: int16(),
      errorMessage: string("6+").nullable().default(null),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array({
        memberId: string(),
        groupInstanceId: string("4+").nullable().default(null),
        clientId: string(),
        clientHost: string(),
        memberMetadata: bytes(),
        memberAssignment: bytes(),
      }),
      authorizedOperations: int32("3+").default(NO_OPERATIONS),
    }),
  },
});
export type DescribeGroupsRequest = Request<typeof DescribeGroups>;
export type DescribeGroupsResponse = Response<typeof DescribeGroups>;
