/** OffsetDelete (KIP-496): what exists goes to the group, the rest is answered here. Source: KafkaApis.handleOffsetDeleteRequest. */
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { OffsetDelete } from "../protocol/messages/47-offset-delete.ts";
import { handler } from "./handler.ts";

export const offsetDelete = handler<typeof OffsetDelete>({
  api: OffsetDelete,
  served: "0",
  handle(call) {
    const { broker, request } = call;
    const isThere = (name: string, index: number): boolean => broker.image.topicByName(name)?.partitions[index] !== undefined;
    const asked = request.topics.map(({ name, partitions }) => {
      const indexes = [...new Set(partitions.map(({ partitionIndex }) => partitionIndex))];
      return {
        topic: name,
        partitions: indexes.filter((index) => isThere(name, index)),
        unknown: indexes.filter((index) => !isThere(name, index)),
      };
    });
    const topics = asked.filter(({ partitions }) => partitions.length > 0);
    broker.groups.ask<"delete-offsets">({ kind: "delete-offsets", groupId: request.groupId, topics }, (outcome) => {
      if (outcome instanceof KafkaError) return call.fail(outcome);
      if (outcome.errorCode !== ErrorCode.NONE) return call.reply({ errorCode: outcome.errorCode, topics: [] });
      const errorOf = new Map(topics.map((topic, i) => [topic, outcome.errorCodes[i]!]));
      call.reply({
        errorCode: ErrorCode.NONE,
        topics: asked.map((topic) => ({
          name: topic.topic,
          partitions: [
            ...topic.unknown.map((partitionIndex) => ({
              partitionIndex,
              errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION as number,
            })),
            ...topic.partitions.map((partitionIndex, i) => ({ partitionIndex, errorCode: errorOf.get(topic)![i]! })),
          ],
        })),
      });
    });
  },
  onError: (error) => ({ errorCode: error.code, topics: [] }),
});
