/** WriteTxnMarkers: ends transactions in partitions, whatever their coordinator knows: another broker's, or kafka-transactions with a transaction that hangs. */
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { ErrorCode, type KafkaError } from "../protocol/errors.ts";
import { WriteTxnMarkers } from "../protocol/messages/27-write-txn-markers.ts";
import { type Call, handler } from "./handler.ts";

type MarkersCall = Call<typeof WriteTxnMarkers>;
type Asked = MarkersCall["request"]["markers"][number];

const MAX_PRODUCER_ID = Number.MAX_SAFE_INTEGER;

export const writeTxnMarkers = handler<typeof WriteTxnMarkers>({
  api: WriteTxnMarkers,
  served: "1-2",
  handle(call) {
    let left = 1;
    const markers = call.request.markers.map((asked) => ({
      producerId: asked.producerId,
      topics: asked.topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => {
          const answer = { partitionIndex, errorCode: ErrorCode.NONE as number };
          left++;
          write(call, asked, name, partitionIndex, (errorCode) => {
            answer.errorCode = errorCode;
            if (--left === 0) call.reply({ markers });
          });
          return answer;
        }),
      })),
    }));
    if (--left === 0) call.reply({ markers });
  },
  onError: (error, { request }) => ({
    markers: request.markers.map(({ producerId, topics }) => ({
      producerId,
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode: error.code })),
      })),
    })),
  }),
});

function write(call: MarkersCall, asked: Asked, topic: string, index: number, done: (errorCode: number) => void): void {
  const { markers, clock } = call.broker;
  const { producerId, producerEpoch, coordinatorEpoch, transactionResult, transactionVersion } = asked;
  // What no batch can hold; Kafka answers UNKNOWN_SERVER_ERROR below 0.
  if (!(producerId >= 0 && producerId <= MAX_PRODUCER_ID)) return done(ErrorCode.INVALID_REQUEST);
  const type = transactionResult ? ("commit" as const) : ("abort" as const);
  const marker = { type, producerId, producerEpoch, coordinatorEpoch, timestampMs: clock.nowMs() };
  markers.writeTo(topic, index, marker, transactionVersion, (error) => done(error === null ? 0 : told(topic, error)));
}

/** Who writes markers knows leaders only: KafkaApis.handleWriteTxnMarkersRequest. */
function told(topic: string, { error, code }: KafkaError): number {
  const isOfCoordinator =
    error === "COORDINATOR_NOT_AVAILABLE" || error === "COORDINATOR_LOAD_IN_PROGRESS" || error === "NOT_COORDINATOR";
  return topic === GROUP_METADATA_TOPIC && isOfCoordinator ? ErrorCode.NOT_LEADER_OR_FOLLOWER : code;
}
