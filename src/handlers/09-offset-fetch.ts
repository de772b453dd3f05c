/**
 * OffsetFetch: one group (up to v7) or several (from v8), by topic name or (from v10) by topic id. An answer only ever holds what is
 * durable; require-stable (KIP-447) keeps back what a transaction that is open may change.
 */

import type { ReplyTo } from "../broker/group-coordinator.ts";
import type { FetchCommand } from "../group/commands.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { OffsetFetch } from "../protocol/messages/09-offset-fetch.ts";
import { type ResponseInput, ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type FetchCall = Call<typeof OffsetFetch>;
type AskedTopics = NonNullable<FetchCall["request"]["groups"][number]["topics"]>;
type GroupAnswer = NonNullable<ResponseInput<typeof OffsetFetch>["groups"]>[number];
type TopicAnswer = GroupAnswer["topics"][number];

const TOP_LEVEL_ERROR_SINCE = 2;
const BATCHED_SINCE = 8;
const IDS_SINCE = 10;

interface AskedGroup {
  readonly groupId: string;
  /** Since v9, of a group of the consumer protocol. */
  readonly memberId: string | null;
  readonly memberEpoch: number;
  readonly topics: AskedTopics | null;
}

export const offsetFetch = handler<typeof OffsetFetch>({
  api: OffsetFetch,
  served: "1-10",
  handle(call) {
    const groups = askedGroups(call);
    const answers: GroupAnswer[] = new Array(groups.length);
    let unanswered = groups.length;
    if (unanswered === 0) return call.reply(response(call, answers));
    groups.forEach((asked, i) => {
      fetchGroup(call, asked, (answer) => {
        answers[i] = answer;
        if (--unanswered === 0) call.reply(response(call, answers));
      });
    });
  },
  onError: (error, call) =>
    response(
      call,
      askedGroups(call).map((asked) => refused(asked, error.code)),
    ),
});

function askedGroups(call: FetchCall): AskedGroup[] {
  const { groups, groupId, topics } = call.request;
  if (call.version >= BATCHED_SINCE) return groups;
  return [
    { groupId, memberId: null, memberEpoch: -1, topics: topics?.map((topic) => ({ ...topic, topicId: ZERO_UUID })) ?? null },
  ];
}

function fetchGroup(call: FetchCall, asked: AskedGroup, done: (answer: GroupAnswer) => void): void {
  const { topics, unknown } = resolve(call, asked.topics);
  const { groupId, memberId, memberEpoch } = asked;
  const { requireStable } = call.request;
  call.broker.groups.ask<"fetch">({ kind: "fetch", groupId, memberId, memberEpoch, topics, requireStable }, (outcome) => {
    if (outcome instanceof KafkaError) done(refused(asked, toldAs(outcome)));
    else if (outcome.errorCode !== ErrorCode.NONE) done(refused(asked, outcome.errorCode));
    else done({ groupId: asked.groupId, topics: [...outcome.topics.flatMap((topic) => answered(call, topic)), ...unknown] });
  });
}

/** Consumers before 3.9 do not know that a coordinator may not be available. Source: GroupCoordinatorService.handleOffsetFetchException. */
const toldAs = ({ code }: KafkaError): number =>
  code === ErrorCode.COORDINATOR_NOT_AVAILABLE ? ErrorCode.NOT_COORDINATOR : code;

/** Topics by name for the group to look up, and the answers for those whose id is unknown. */
function resolve(call: FetchCall, asked: AskedTopics | null): { topics: FetchCommand["topics"]; unknown: TopicAnswer[] } {
  if (asked === null) return { topics: null, unknown: [] };
  const topics: NonNullable<FetchCommand["topics"]>[number][] = [];
  const unknown: TopicAnswer[] = [];
  for (const { name, topicId, partitionIndexes } of asked) {
    const topic = call.version >= IDS_SINCE ? call.broker.image.topicById(topicId)?.name : name;
    if (topic === undefined) unknown.push(nothingOf({ name, topicId, partitionIndexes }, ErrorCode.UNKNOWN_TOPIC_ID));
    else topics.push({ topic, topicId, partitions: partitionIndexes });
  }
  return { topics, unknown };
}

/** None for a topic that has no id any more and is asked for by id: it cannot be named. */
function answered(call: FetchCall, found: ReplyTo<"fetch">["topics"][number]): TopicAnswer[] {
  const isUnnamed = call.version >= IDS_SINCE && found.topicId === ZERO_UUID;
  const topicId = isUnnamed ? call.broker.image.topicByName(found.topic)?.id : found.topicId;
  if (topicId === undefined) return [];
  const partitions = found.partitions.map(({ partition, offset, leaderEpoch, metadata, errorCode }) => ({
    partitionIndex: partition,
    committedOffset: offset,
    committedLeaderEpoch: leaderEpoch,
    metadata,
    errorCode,
  }));
  return [{ name: found.topic, topicId, partitions }];
}

function nothingOf({ name, topicId, partitionIndexes }: AskedTopics[number], errorCode: number): TopicAnswer {
  const nothing = { committedOffset: -1, committedLeaderEpoch: -1, metadata: "", errorCode };
  return { name, topicId, partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, ...nothing })) };
}

/** An error of the whole group; v1 can only say it for each partition, see `response`. */
const refused = ({ groupId, topics }: AskedGroup, errorCode: number): GroupAnswer => ({
  groupId,
  errorCode,
  topics: topics?.map((topic) => nothingOf(topic, errorCode)) ?? [],
});

/** Groups as the version can say them. */
function response(call: FetchCall, answers: GroupAnswer[]): ResponseInput<typeof OffsetFetch> {
  const saysErrorOnTop = call.version >= TOP_LEVEL_ERROR_SINCE;
  const groups = answers.map((answer) => (answer.errorCode && saysErrorOnTop ? { ...answer, topics: [] } : answer));
  if (call.version >= BATCHED_SINCE) return { groups };
  const [only] = groups as [GroupAnswer];
  const topics = only.topics.map(({ name = "", partitions }) => ({ name, partitions }));
  return { groups: [], errorCode: only.errorCode, topics };
}
