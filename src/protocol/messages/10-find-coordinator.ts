/**
 * FindCoordinator (10): the broker of a group (key type 0), a transactional id (1) or a share group's partition (2, from version 6: KIP-932).
 * From version 4 on, of several keys at once (KIP-699).
 */
import { api, array, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const FindCoordinator = api({
  key: 10,
  name: "FindCoordinator",
  declared: "0-6",
  flexible: "3+",
  request: {
    key: string("0-3").default(""),
    keyType: int8("1+").default(0),
    coordinatorKeys: array(string(), "4+").default([]),
  },
  response: {
    throttleTimeMs: int32("1+").default(0),
    errorCode: int16("0-3").default(0),
    errorMessage: string("1-3").nullable().default(""),
    nodeId: int32("0-3").default(0),
    host: string("0-3").default(""),
    port: int32("0-3").default(0),
    coordinators: array(
      {
        key: string(),
        nodeId: int32(),
        host: string(),
        port: int32(),
        errorCode: int16(),
        errorMessage: string().nullable(),
      },
      "4+",
    ).default([]),
  },
});
export type FindCoordinatorRequest = Request<typeof FindCoordinator>;
export type FindCoordinatorResponse = Response<typeof FindCoordinator>;
