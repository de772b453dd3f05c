/** OffsetCommit: what is committed for topics and partitions that exist goes to the group; the rest is answered here. */
import type { CommitItem } from "../group/commands.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { OffsetCommit } from "../protocol/messages/08-offset-commit.ts";
import { type Call, handler } from "./handler.ts";

type CommitCall = Call<typeof OffsetCommit>;
type AskedTopic = CommitCall["request"]["topics"][number];

const IDS_SINCE = 10;
const GROUP_ID_NOT_FOUND_SINCE = 9;

export const offsetCommit = handler<typeof OffsetCommit>({
  api: OffsetCommit,
  served: "2-10",
  handle(call) {
    const {
      groupId,
      generationIdOrMemberEpoch: generationId,
      memberId,
      groupInstanceId: instanceId,
      retentionTimeMs,
    } = call.request;
    const answers = call.request.topics.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitions: topic.partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: ErrorCode.NONE as number })),
    }));
    const items: CommitItem[] = [];
    const pending: { errorCode: number }[] = [];
    for (const [i, topic] of call.request.topics.entries()) sort(call, topic, answers[i]!.partitions, items, pending);
    // Kafka does not ask the group either when nothing is left to commit.
    if (items.length === 0) return call.reply({ topics: answers });
    call.broker.groups.ask<"commit">(
      {
        kind: "commit",
        groupId,
        generationId,
        memberId,
        instanceId,
        retentionMs: retentionTimeMs,
        knowsGroupIdNotFound: call.version >= GROUP_ID_NOT_FOUND_SINCE,
        items,
      },
      (outcome) => {
        if (outcome instanceof KafkaError) return call.fail(outcome);
        outcome.errorCodes.forEach((errorCode, i) => {
          pending[i]!.errorCode = errorCode;
        });
        call.reply({ topics: answers });
      },
    );
  },
  onError: (error, call) => ({
    topics: call.request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error.code })),
    })),
  }),
});

/** Adds what may be committed to `items`, with its place in the answer to `pending`; what may not gets its error. */
function sort(
  call: CommitCall,
  topic: AskedTopic,
  answers: { errorCode: number }[],
  items: CommitItem[],
  pending: { errorCode: number }[],
): void {
  const { image } = call.broker;
  const byId = call.version >= IDS_SINCE;
  const known = byId ? image.topicById(topic.topicId) : image.topicByName(topic.name);
  topic.partitions.forEach((partition, i) => {
    const answer = answers[i]!;
    if (known === undefined) answer.errorCode = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    else if (known.partitions[partition.partitionIndex] === undefined) answer.errorCode = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    else {
      pending.push(answer);
      items.push({
        topic: known.name,
        topicId: known.id,
        partition: partition.partitionIndex,
        offset: partition.committedOffset,
        leaderEpoch: partition.committedLeaderEpoch,
        metadata: partition.committedMetadata,
      });
    }
  });
}
