/** Heartbeat (12): a classic member is alive, and learns of a rebalance. Version 3 brought static members (KIP-345). */
import { api, int16, int32, type Request, type Response, string } from "../schema.ts";

export const Heartbeat = api({
  key: 12,
  name: "Heartbeat",
  declared: "0-4",
  flexible: "4+",
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string("3+").nullable().default(null),
  },
  response: {
    throttleTimeMs: int32("1+").default(0),
    errorCode: int16(),
  },
});
export type HeartbeatRequest = Request<typeof Heartbeat>;
export type HeartbeatResponse = Response<typeof Heartbeat>;
