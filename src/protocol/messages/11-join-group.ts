/** JoinGroup (11). */
import { api, array, bool, bytes, int16, int32, type Request, type Response, string } from "../schema.ts";

export const JoinGroup = api({
  key: 11,
  name: "JoinGroup",
  declared: "0-9",
  flexible: "6+",
  request: {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32("1+").default(-1),
    memberId: string(),
    groupInstanceId: string("5+").nullable().default(null),
    protocolType: string(),
    protocols: array({ name: string(), metadata: bytes() }),
    reason: string("8+").nullable().default(null),
  },
  response: {
    throttleTimeMs: int32("2+").default(0),
    errorCode: int16(),
    generationId: int32().default(-1),
    protocolType: string("7+").nullable().default(null),
    protocolName: string().nullable("7+"),
    leader: string(),
    skipAssignment: bool("9+").default(false),
    memberId: string(),
    members: array({ memberId: string(), groupInstanceId: string("5+").nullable().default(null), metadata: bytes() }),
  },
});
export type JoinGroupRequest = Request<typeof JoinGroup>;
export type JoinGroupResponse = Response<typeof JoinGroup>;
