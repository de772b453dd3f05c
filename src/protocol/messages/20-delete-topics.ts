/** DeleteTopics (20). Version 5 brought error messages (KIP-599), 6 deletion by topic id (KIP-516). */
import { api, array, int16, int32, type Request, type Response, string, uuid, ZERO_UUID } from "../schema.ts";

export const DeleteTopics = api({
  key: 20,
  name: "DeleteTopics",
  declared: "1-6",
  flexible: "4+",
  request: {
    topics: array({ name: string().nullable().default(null), topicId: uuid().default(ZERO_UUID) }, "6+").default([]),
    topicNames: array(string(), "0-5").default([]),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    responses: array({
      name: string().nullable("6+"),
      topicId: uuid("6+").default(ZERO_UUID),
      errorCode: int16(),
      errorMessage: string("5+").nullable().default(null),
    }),
  },
});
export type DeleteTopicsRequest = Request<typeof DeleteTopics>;
export type DeleteTopicsResponse = Response<typeof DeleteTopics>;
