/**
 * SyncGroup (14): classic group protocol, second round: the leader hands in the assignments, everyone gets theirs.
 * Version 3 brought static members (KIP-345), 5 a check of protocol type and name (KIP-559).
 */
import { api, array, bytes, int16, int32, type Request, type Response, string } from "../schema.ts";

export const SyncGroup = api({
  key: 14,
  name: "SyncGroup",
  declared: "0-5",
  flexible: "4+",
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string("3+").nullable().default(null),
    protocolType: string("5+").nullable().default(null),
    protocolName: string("5+").nullable().default(null),
    assignments: array({ memberId: string(), assignment: bytes() }),
  },
  response: {
    throttleTimeMs: int32("1+").default(0),
    errorCode: int16(),
    protocolType: string("5+").nullable().default(null),
    protocolName: string("5+").nullable().default(null),
    assignment: bytes(),
  },
});
export type SyncGroupRequest = Request<typeof SyncGroup>;
export type SyncGroupResponse = Response<typeof SyncGroup>;
