/**
 * CreateTopics (19). Version 4 made partitions and replicas optional, -1 (KIP-464), 5 gives partitions, replicas and configs back (KIP-525), 6 may
 * answer THROTTLING_QUOTA_EXCEEDED (KIP-599), 7 gives the topic id (KIP-516).
 */
import { api, array, bool, int8, int16, int32, type Request, type Response, string, uuid, ZERO_UUID } from "../schema.ts";

export const CreateTopics = api({
  key: 19,
  name: "CreateTopics",
  declared: "2-7",
  flexible: "5+",
  request: {
    topics: array({
      name: string(),
      numPartitions: int32(),
      replicationFactor: int16(),
      assignments: array({ partitionIndex: int32(), brokerIds: array(int32()) }),
      configs: array({ name: string(), value: string().nullable() }),
    }),
    timeoutMs: int32().default(60000),
    validateOnly: bool().default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      topicId: uuid("7+").default(ZERO_UUID),
      errorCode: int16(),
      errorMessage: string().nullable(),
      topicConfigErrorCode: int16("5+").tagged(0),
      numPartitions: int32("5+").default(-1),
      replicationFactor: int16("5+").default(-1),
      configs: array(
        {
          name: string(),
          value: string().nullable(),
          readOnly: bool(),
          configSource: int8().default(-1),
          isSensitive: bool(),
        },
        "5+",
      ).nullable(),
    }),
  },
});
export type CreateTopicsRequest = Request<typeof CreateTopics>;
export type CreateTopicsResponse = Response<typeof CreateTopics>;
