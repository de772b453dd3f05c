/** OffsetForLeaderEpoch: where the log of a leader epoch ended, for consumers that check for truncation (KIP-320). */
import { KafkaError } from "../protocol/errors.ts";
import { OffsetForLeaderEpoch } from "../protocol/messages/23-offset-for-leader-epoch.ts";
import { type Call, handler } from "./handler.ts";

export const offsetForLeaderEpoch = handler<typeof OffsetForLeaderEpoch>({
  api: OffsetForLeaderEpoch,
  served: "2-4",
  handle(call) {
    call.reply({
      topics: call.request.topics.map((topic) => ({
        topic: topic.topic,
        partitions: topic.partitions.map((asked) => answer(call, topic.topic, asked)),
      })),
    });
  },
  onError: (error, call) => ({
    topics: call.request.topics.map((topic) => ({
      topic: topic.topic,
      partitions: topic.partitions.map(({ partition }) => ({ partition, errorCode: error.code })),
    })),
  }),
});

type EpochCall = Call<typeof OffsetForLeaderEpoch>;
type Asked = EpochCall["request"]["topics"][number]["partitions"][number];

function answer(call: EpochCall, topic: string, asked: Asked) {
  const { partition: index } = asked;
  const partition = call.broker.partition(topic, index);
  if (partition === undefined) return { partition: index, errorCode: new KafkaError("UNKNOWN_TOPIC_OR_PARTITION").code };
  try {
    partition.checkLeaderEpoch(asked.currentLeaderEpoch);
    const { epoch, endOffset } = partition.log.leaderEpochs.endOffsetFor(asked.leaderEpoch, partition.logEndOffset);
    // The newest epoch ends where consumers' reading ends: they must not see beyond the high watermark.
    return { partition: index, errorCode: 0, leaderEpoch: epoch, endOffset: Math.min(endOffset, partition.highWatermark) };
  } catch (error) {
    if (error instanceof KafkaError) return { partition: index, errorCode: error.code };
    throw error;
  }
}
