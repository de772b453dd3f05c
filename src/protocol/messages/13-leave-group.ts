/**
 * LeaveGroup (13): members leave a classic group; from version 3 several at once, also by instance id (KIP-345). Version 5 brought the reason
 * (KIP-800).
 */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const LeaveGroup = api({
  key: 13,
  name: "LeaveGroup",
  declared: "0-5",
  flexible: "4+",
  request: {
    groupId: string(),
    memberId: string("0-2").default(""),
    members: array(
      {
        memberId: string(),
        groupInstanceId: string().nullable().default(null),
        reason: string("5+").nullable().default(null),
      },
      "3+",
    ).default([]),
  },
  response: {
    throttleTimeMs: int32("1+").default(0),
    errorCode: int16(),
    members: array({ memberId: string(), groupInstanceId: string().nullable(), errorCode: int16() }, "3+").default([]),
  },
});
export type LeaveGroupRequest = Request<typeof LeaveGroup>;
export type LeaveGroupResponse = Response<typeof LeaveGroup>;
