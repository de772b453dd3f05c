/**
 * Fetch (1): read record batches, waiting for them if need be.
 * Version 5 brought the log start offset, 7 sessions (KIP-227), 9 fencing by leader epoch (KIP-320), 10 zstd (KIP-110), 11 reading from
 * followers (KIP-392), 12 truncation by epoch (KIP-595), 13 topic ids (KIP-516), 15 the replica's state (KIP-903), 16 node endpoints
 * (KIP-951), 17 directory ids (KIP-853), 18 the follower's high watermark (KIP-1166).
 */
import { LONG_MAX } from "../../bytes/reader.ts";
import { api, array, int8, int16, int32, int64, type Request, type Response, records, string, struct, uuid } from "../schema.ts";

export const Fetch = api({
  key: 1,
  name: "Fetch",
  declared: "4-18",
  flexible: "12+",
  request: {
    clusterId: string("12+").nullable().default(null).tagged(0),
    replicaId: int32("0-14").default(-1),
    replicaState: struct({ replicaId: int32().default(-1), replicaEpoch: int64().default(-1) }, "15+").tagged(1),
    maxWaitMs: int32(),
    minBytes: int32(),
    maxBytes: int32().default(0x7fffffff),
    isolationLevel: int8().default(0), // 0 read_uncommitted, 1 read_committed
    sessionId: int32("7+").default(0),
    sessionEpoch: int32("7+").default(-1), // -1 no session, 0 a new one
    topics: array({
      topic: string("0-12").default(""),
      topicId: uuid("13+"),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32("9+").default(-1),
        fetchOffset: int64(),
        lastFetchedEpoch: int32("12+").default(-1),
        logStartOffset: int64("5+").default(-1),
        partitionMaxBytes: int32(),
        replicaDirectoryId: uuid("17+").tagged(0),
        highWatermark: int64("18+").default(LONG_MAX).tagged(1),
      }),
    }),
    forgottenTopicsData: array({ topic: string("7-12").default(""), topicId: uuid("13+"), partitions: array(int32()) }, "7+"),
    rackId: string("11+").default(""),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16("7+").default(0),
    sessionId: int32("7+").default(0),
    responses: array({
      topic: string("0-12").default(""),
      topicId: uuid("13+"),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        highWatermark: int64(),
        lastStableOffset: int64().default(-1),
        logStartOffset: int64("5+").default(-1),
        divergingEpoch: struct({ epoch: int32().default(-1), endOffset: int64().default(-1) }, "12+").tagged(0),
        currentLeader: struct({ leaderId: int32().default(-1), leaderEpoch: int32().default(-1) }, "12+").tagged(1),
        snapshotId: struct({ endOffset: int64().default(-1), epoch: int32().default(-1) }, "12+").tagged(2),
        abortedTransactions: array({ producerId: int64(), firstOffset: int64() }).nullable(),
        preferredReadReplica: int32("11+").default(-1),
        // Never answer null: librdkafka refuses to parse it.
        records: records().nullable(),
      }),
    }),
    nodeEndpoints: array(
      { nodeId: int32(), host: string(), port: int32(), rack: string().nullable().default(null) },
      "16+",
    ).tagged(0),
  },
});
export type FetchRequest = Request<typeof Fetch>;
export type FetchResponse = Response<typeof Fetch>;
