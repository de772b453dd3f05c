/**
 * JoinGroup (11): classic group protocol, first round: members propose, the broker chooses protocol and leader.
 * Version 1 brought the rebalance timeout (below it the session timeout serves as one), 4 member ids given by the broker before the first
 * join (KIP-394), 5 static members (KIP-345), 7 the protocol type in the answer (KIP-559), 8 the reason (KIP-800), 9 the leader that need not
 * assign (KIP-814).
 */
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
    protocolName: string().nullable("7+"), // null when there is none; "" below version 7
    leader: string(),
    skipAssignment: bool("9+").default(false),
    memberId: string(),
    // The leader learns of all members, the others of none.
    members: array({ memberId: string(), groupInstanceId: string("5+").nullable().default(null), metadata: bytes() }),
  },
});
export type JoinGroupRequest = Request<typeof JoinGroup>;
export type JoinGroupResponse = Response<typeof JoinGroup>;
