/**
 * Produce (0): append one record batch per partition; answered unless acks is 0.
 * Kafka advertises it from version 0 (KAFKA-18659: librdkafka) but serves it from 3. Versions 4 on may answer KAFKA_STORAGE_ERROR,
 * 7 takes zstd (KIP-110), 8 names the records at fault (KIP-467), 10 names a new leader (KIP-951), 11 may answer TRANSACTION_ABORTABLE,
 * 12 adds partitions to transactions implicitly (both KIP-890), 13 goes by topic id (KIP-516).
 */
import { api, array, int16, int32, int64, type Request, type Response, records, string, struct, uuid } from "../schema.ts";

export const Produce = api({
  key: 0,
  name: "Produce",
  declared: "3-13",
  flexible: "9+",
  request: {
    transactionalId: string().nullable().default(null),
    acks: int16(),
    timeoutMs: int32(),
    topicData: array({
      name: string("0-12").default(""),
      topicId: uuid("13+"),
      partitionData: array({ index: int32(), records: records().nullable() }),
    }),
  },
  response: {
    responses: array({
      name: string("0-12").default(""),
      topicId: uuid("13+"),
      partitionResponses: array({
        index: int32(),
        errorCode: int16(),
        baseOffset: int64(),
        logAppendTimeMs: int64().default(-1),
        logStartOffset: int64("5+").default(-1),
        recordErrors: array({ batchIndex: int32(), batchIndexErrorMessage: string().nullable().default(null) }, "8+"),
        errorMessage: string("8+").nullable().default(null),
        currentLeader: struct({ leaderId: int32().default(-1), leaderEpoch: int32().default(-1) }, "10+").tagged(0),
      }),
    }),
    throttleTimeMs: int32().default(0),
    nodeEndpoints: array(
      { nodeId: int32(), host: string(), port: int32(), rack: string().nullable().default(null) },
      "10+",
    ).tagged(0),
  },
});
export type ProduceRequest = Request<typeof Produce>;
export type ProduceResponse = Response<typeof Produce>;
