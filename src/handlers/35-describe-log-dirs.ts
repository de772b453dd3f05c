/** DescribeLogDirs: the one log directory, and what its partitions take of it. Source: ReplicaManager.describeLogDirs. */
import type { TopicImage } from "../metadata/image.ts";
import { DescribeLogDirs } from "../protocol/messages/35-describe-log-dirs.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof DescribeLogDirs>;
type TopicAnswer = ResponseInput<typeof DescribeLogDirs>["results"][number]["topics"][number];

/** DescribeLogDirsResponse.INVALID_OFFSET_LAG: of a replica that is offline. */
const INVALID_OFFSET_LAG = -1;

export const describeLogDirs = handler<typeof DescribeLogDirs>({
  api: DescribeLogDirs,
  served: "1-5",
  handle(call) {
    const { logs } = call.broker;
    call.reply({ errorCode: 0, results: [{ errorCode: 0, logDir: logs.path, topics: describedTopics(call), ...logs.space() }] });
  },
  onError: (error) => ({ errorCode: error.code, results: [] }),
});

/** The topics that were asked for (all if null) and have a partition here; what is not here is left out, as in Kafka. */
function describedTopics(call: DescribeCall): TopicAnswer[] {
  const { image } = call.broker;
  const { topics } = call.request;
  const described: TopicAnswer[] = [];
  const describe = (topic: TopicImage | undefined, indexes: Iterable<number>): void => {
    const answer = topic === undefined ? null : describedTopic(call, topic, indexes);
    if (answer !== null) described.push(answer);
  };
  if (topics === null) for (const topic of image.topics()) describe(topic, topic.partitions.keys());
  else for (const [name, indexes] of asked(topics)) describe(image.topicByName(name), indexes);
  return described;
}

/** Every partition once, however often it is named. */
function asked(topics: NonNullable<DescribeCall["request"]["topics"]>): Map<string, Set<number>> {
  const byTopic = new Map<string, Set<number>>();
  for (const { topic, partitions } of topics) {
    const indexes = byTopic.get(topic) ?? new Set();
    byTopic.set(topic, indexes);
    for (const index of partitions) indexes.add(index);
  }
  return byTopic;
}

function describedTopic({ broker }: DescribeCall, { id, name }: TopicImage, indexes: Iterable<number>): TopicAnswer | null {
  const partitions: TopicAnswer["partitions"] = [];
  for (const partitionIndex of indexes) {
    const partition = broker.partitionById(id, partitionIndex);
    if (partition === undefined) continue;
    const { log, highWatermark } = partition;
    const offsetLag = log.offline === null ? Math.max(highWatermark - log.logEndOffset, 0) : INVALID_OFFSET_LAG;
    partitions.push({ partitionIndex, partitionSize: log.sizeBytes, offsetLag, isFutureKey: false });
  }
  return partitions.length === 0 ? null : { name, partitions };
}
