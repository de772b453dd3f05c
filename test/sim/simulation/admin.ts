/** Clients that make and delete topics, and those that only look: topics, ends of logs, configs. */
import { ErrorCode } from "../../../src/protocol/errors.ts";
import { Fetch } from "../../../src/protocol/messages/01-fetch.ts";
import { ListOffsets } from "../../../src/protocol/messages/02-list-offsets.ts";
import { Metadata } from "../../../src/protocol/messages/03-metadata.ts";
import { CreateTopics } from "../../../src/protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../../../src/protocol/messages/20-delete-topics.ts";
import { DeleteRecords } from "../../../src/protocol/messages/21-delete-records.ts";
import { InitProducerId } from "../../../src/protocol/messages/22-init-producer-id.ts";
import { CreatePartitions } from "../../../src/protocol/messages/37-create-partitions.ts";
import { DescribeCluster } from "../../../src/protocol/messages/60-describe-cluster.ts";
import type { Actor, Arena } from "./arena.ts";
import { COMPACTED } from "./compacted.ts";
import { takeRecords } from "./consumers.ts";
import type { PartitionModel } from "./partition-model.ts";
import { GONE, PlainProducer } from "./producers.ts";
import { configsOf, type TopicModel } from "./topics-model.ts";

export const TEMPORARY = ["temporary-a", "temporary-b"];
const HIGH_WATERMARK = -1;
const EARLIEST = -2;
const LATEST = -1;

/** Deletes records, of topics that stay too. */
export class Trimmer implements Actor {
  readonly name: string;
  private readonly arena: Arena;

  constructor(arena: Arena, name: string) {
    this.arena = arena;
    this.name = name;
  }

  step(): void {
    const { random, topics } = this.arena;
    if (topics.live.length === 0) return;
    const topic = random.pick(topics.live);
    this.deleteBelow(topic, random.pick(topic.partitions));
  }

  private deleteBelow(topic: TopicModel, partition: PartitionModel): void {
    const { arena } = this;
    const { random, world } = arena;
    const { topicId, index, shownStart, shownEnd } = partition;
    const highWatermark = world.broker.partitionById(topicId, index)?.highWatermark ?? 0;
    const offset = random.pick([HIGH_WATERMARK, highWatermark + 1, random.int(shownEnd + 1), random.int(shownEnd + 1)]);
    const meant = offset === HIGH_WATERMARK ? highWatermark : offset;
    if (meant <= highWatermark) partition.deletionSentUpTo = Math.max(partition.deletionSentUpTo, meant);
    const who = `${this.name} ${partition.name}@${offset}`;
    const request = { topics: [{ name: topic.name, partitions: [{ partitionIndex: index, offset }] }], timeoutMs: 1000 };
    arena.send(who, DeleteRecords, 2, request, (response) => {
      if (response === null) return;
      const { errorCode, lowWatermark } = response.topics[0]!.partitions[0]!;
      const expected = meant > highWatermark ? [ErrorCode.OFFSET_OUT_OF_RANGE] : [];
      arena.checkCode(who, errorCode, topic.deletionSent ? [...GONE, ...expected] : expected);
      if (errorCode !== 0 || topic.deletionSent) return; // by name: it may have been the next topic's
      arena.history.check("the log start never goes back", lowWatermark >= meant, () => `${who}: ${lowWatermark}`);
      partition.showStart(lowWatermark, shownStart);
    });
  }
}

/** No topic is asked to have more partitions than that. */
const MAX_PARTITIONS = 6;

/** Makes and deletes topics, sometimes two of a name at once, and gives them more partitions. */
export class Admin implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private readonly first: PlainProducer;

  constructor(arena: Arena, name: string) {
    this.arena = arena;
    this.name = name;
    this.first = new PlainProducer(arena, `${name} writes`);
  }

  step(): void {
    const { random, topics } = this.arena;
    if (random.chance(0.3)) return this.growSome();
    const name = random.pick(TEMPORARY);
    const topic = topics.byName(name);
    if (topic === undefined) for (let i = random.int(2); i >= 0; i--) this.create(name, 1 + random.int(3));
    else if (random.chance(0.6)) this.delete(topic);
    else this.create(name, 1);
  }

  private create(name: string, numPartitions: number): void {
    const { arena } = this;
    const { topics } = arena;
    const wasThere = topics.byName(name);
    const since = topics.count;
    const configs = configsOf(topics.retention.get(name));
    const request = { topics: [{ name, numPartitions, replicationFactor: 1, assignments: [], configs }], timeoutMs: 1000 };
    arena.send(`${this.name} ${name}`, CreateTopics, 7, request, (response) => {
      if (response === null) return;
      const { errorCode, topicId } = response.topics[0]!;
      arena.checkCode(`${this.name} creates ${name}`, errorCode, [ErrorCode.TOPIC_ALREADY_EXISTS]);
      if (errorCode !== 0) return;
      const holds = wasThere === undefined || wasThere.deletionSent;
      arena.history.check("a name is one topic's", holds, () => `${name} was made although it is ${wasThere!.id}`);
      topics.created({ name, id: topicId, partitions: numPartitions }, since);
    });
  }

  private delete(topic: TopicModel): void {
    const { arena } = this;
    topic.deletionSent = true;
    const request = { topics: [{ name: null, topicId: topic.id }], timeoutMs: 1000 };
    arena.send(`${this.name} ${topic.name}`, DeleteTopics, 6, request, (response) => {
      if (response === null) return;
      const { errorCode } = response.responses[0]!;
      arena.checkCode(`${this.name} deletes ${topic.name}`, errorCode, GONE);
      if (errorCode === 0) topic.gone = true;
      else if (!arena.mayRefuse) topic.deletionSent = false; // else nobody knows
    });
  }

  /** Sometimes twice at once, sometimes to what it has already. */
  growSome(): void {
    const { random, topics } = this.arena;
    if (topics.live.length === 0) return;
    const topic = random.pick(topics.live);
    for (let i = random.int(4); i >= 0; i -= 2) {
      const count = topic.partitions.length + random.int(3);
      this.grow(topic, count > MAX_PARTITIONS ? 1 : count);
    }
  }

  private grow(topic: TopicModel, count: number): void {
    const { arena } = this;
    const { broker } = arena.world;
    const who = `${this.name} ${topic.name} to ${count}`;
    const isTooFew = topic.partitions.length >= count;
    const before = topic.partitions.map(({ topicId, index }) => broker.partitionById(topicId, index));
    const mayBeThere = isTooFew || Math.max(...topic.growthsSent) >= count;
    if (!isTooFew) topic.growthsSent.add(count);
    const request = { topics: [{ name: topic.name, count, assignments: null }], timeoutMs: 1000, validateOnly: false };
    arena.send(who, CreatePartitions, 3, request, (response) => {
      if (response === null) return;
      const { errorCode } = response.results[0]!;
      const isThere = mayBeThere || Math.max(...topic.growthsSent) > count;
      const expected = isThere ? [ErrorCode.INVALID_PARTITIONS] : [];
      arena.checkCode(who, errorCode, topic.deletionSent ? [...GONE, ...expected] : expected);
      if (errorCode !== 0 || topic.deletionSent) return;
      arena.history.check("a growth is there whole or not at all", !isTooFew, () => `${who} was granted`);
      const isSame = before.every((partition, index) => partition === broker.partitionById(topic.id, index));
      arena.history.check("a growth leaves the other partitions alone", isSame, () => who);
      for (const partition of arena.topics.grown(topic, count)) this.use(topic, partition);
    });
  }

  /** A partition that was just made takes a record and gives it back. */
  private use(topic: TopicModel, partition: PartitionModel): void {
    const { arena } = this;
    const mustWork = (code: number): void => {
      const works = code === 0 || topic.deletionSent || arena.mayRefuse;
      arena.history.check("new partitions can be written and read", works, () => `${partition.name}: error ${code}`);
    };
    this.first.write(topic, partition, -1, ({ errorCode, baseOffset }) => {
      mustWork(errorCode);
      if (errorCode !== 0) return;
      const partitions = [{ partition: partition.index, fetchOffset: baseOffset, partitionMaxBytes: 10_000 }];
      const topics = [{ topic: "", topicId: topic.id, partitions }];
      const request = { maxWaitMs: 0, minBytes: 0, isolationLevel: 0, topics, forgottenTopicsData: [] };
      arena.send(`${this.name} ${partition.name}@${baseOffset}`, Fetch, 16, request, (response) => {
        const answer = response?.responses[0]?.partitions[0];
        if (answer === undefined || answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return; // it may be gone already
        mustWork(answer.errorCode);
        if (answer.errorCode === 0) takeRecords(arena, partition, answer, baseOffset, false);
      });
    });
  }
}

/** Looks at topics and logs, and takes producer ids that nobody uses. */
export class Observer implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private readonly given: Set<number>;

  constructor(arena: Arena, name: string, given: Set<number>) {
    this.arena = arena;
    this.name = name;
    this.given = given;
  }

  step(): void {
    const { random, topics } = this.arena;
    const roll = random.int(10);
    if (roll < 4) this.listTopics();
    else if (roll < 8 && topics.live.length > 0) this.listOffsets(random.pick(topics.live));
    else if (roll === 8) this.takeProducerId();
    else this.describeCluster();
  }

  /** `heard` runs when all topics are known. */
  listTopics(heard: () => void = () => {}): void {
    const { arena, name } = this;
    const before = arena.topics.known();
    const request = { topics: null, allowAutoTopicCreation: false, includeTopicAuthorizedOperations: false };
    arena.send(name, Metadata, 12, request, (response) => {
      if (response === null) return;
      const found = response.topics
        .filter(({ isInternal, name: listed }) => !isInternal && listed !== COMPACTED)
        .map((topic) => ({ name: topic.name!, id: topic.topicId, partitions: topic.partitions.length }));
      arena.topics.listed(found, before);
      heard();
    });
  }

  private listOffsets(topic: TopicModel): void {
    const { arena, name } = this;
    const timestamp = arena.random.pick([LATEST, EARLIEST]);
    const isolationLevel = arena.random.int(2);
    const floors = topic.partitions.map(({ shownEnd, shownStart, shownStableEnd }) =>
      timestamp === EARLIEST ? shownStart : isolationLevel === 1 ? shownStableEnd : shownEnd,
    );
    const partitions = topic.partitions.map(({ index }) => ({ partitionIndex: index, timestamp }));
    const request = {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: topic.name, partitions }],
      timeoutMs: 1000,
    };
    arena.send(`${name} ${topic.name}`, ListOffsets, 10, request, (response) => {
      if (response === null || topic.deletionSent) return;
      for (const { partitionIndex, errorCode, offset } of response.topics[0]!.partitions) {
        arena.checkCode(`${name} ${topic.name}-${partitionIndex}`, errorCode, []);
        if (errorCode !== 0) continue;
        const partition = topic.partitions[partitionIndex]!;
        const floor = floors[partitionIndex]!;
        if (timestamp === EARLIEST) partition.showStart(offset, floor);
        else if (isolationLevel === 1) partition.showStable(offset, floor);
        else partition.showHighWatermark(offset, floor);
      }
    });
  }

  private takeProducerId(): void {
    const { arena, name, given } = this;
    arena.send(name, InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 }, (response) => {
      if (response === null || response.errorCode !== 0) return;
      const { producerId } = response;
      arena.history.check("producer ids are never used again", !given.has(producerId), () => `${producerId}`);
      given.add(producerId);
    });
  }

  private describeCluster(): void {
    const { arena, name } = this;
    arena.send(
      name,
      DescribeCluster,
      1,
      { includeClusterAuthorizedOperations: false, includeFencedBrokers: false },
      (response) => {
        if (response !== null) arena.checkCode(name, response.errorCode, []);
      },
    );
  }
}
