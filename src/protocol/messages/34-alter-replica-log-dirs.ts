/** AlterReplicaLogDirs (34): moves replicas between the log directories of a broker (KIP-113). */
import { api, array, int16, int32, type Request, type Response, string } from "../schema.ts";

export const AlterReplicaLogDirs = api({
  key: 34,
  name: "AlterReplicaLogDirs",
  declared: "1-2",
  flexible: "2+",
  request: { dirs: array({ path: string(), topics: array({ name: string(), partitions: array(int32()) }) }) },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({ topicName: string(), partitions: array({ partitionIndex: int32(), errorCode: int16() }) }),
  },
});
export type AlterReplicaLogDirsRequest = Request<typeof AlterReplicaLogDirs>;
export type AlterReplicaLogDirsResponse = Response<typeof AlterReplicaLogDirs>;
