/**
 * DescribeLogDirs (35): what lies in the log directories of a broker, and how large it is. Version 3 has an error for the whole
 * (KIP-784), 4 tells total and usable bytes (KIP-827), 5 whether a directory is cordoned (KIP-1066).
 */
import { api, array, bool, int16, int32, int64, type Request, type Response, string } from "../schema.ts";

export const DescribeLogDirs = api({
  key: 35,
  name: "DescribeLogDirs",
  declared: "1-5",
  flexible: "2+",
  request: { topics: array({ topic: string(), partitions: array(int32()) }).nullable() },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16("3+"),
    results: array({
      errorCode: int16(),
      logDir: string(),
      topics: array({
        name: string(),
        partitions: array({ partitionIndex: int32(), partitionSize: int64(), offsetLag: int64(), isFutureKey: bool() }),
      }),
      totalBytes: int64("4+").default(-1),
      usableBytes: int64("4+").default(-1),
      isCordoned: bool("5+").default(false),
    }),
  },
});
export type DescribeLogDirsRequest = Request<typeof DescribeLogDirs>;
export type DescribeLogDirsResponse = Response<typeof DescribeLogDirs>;
