/** Clients that produce: plain ones, which send and forget, and idempotent ones, which repeat what was not acknowledged. */
import { ErrorCode } from "../../../src/protocol/errors.ts";
import { Produce } from "../../../src/protocol/messages/00-produce.ts";
import { InitProducerId } from "../../../src/protocol/messages/22-init-producer-id.ts";
import { type Response, ZERO_UUID } from "../../../src/protocol/schema.ts";
import { buildBatch } from "../../../src/record/records.ts";
import type { Actor, Arena } from "./arena.ts";
import { type PartitionModel, textOf } from "./partition-model.ts";
import type { TopicModel } from "./topics-model.ts";

/** What a deleted topic answers, by name and by id. */
export const GONE = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.UNKNOWN_TOPIC_ID, ErrorCode.INCONSISTENT_TOPIC_ID];
const IN_FLIGHT = 5;

interface Sequenced {
  readonly producerId: number;
  readonly baseSequence: number;
}

function batchOf(arena: Arena, texts: readonly string[], sequenced: Sequenced | null): Buffer {
  const timestampMs = arena.world.clock.nowMs();
  const records = texts.map((text) => ({ key: null, value: Buffer.from(text), timestampMs }));
  return buildBatch({ records, ...(sequenced === null ? {} : { ...sequenced, producerEpoch: 0 }) });
}

/** By name for topics that stay, by id for those that come and go. */
function produce(
  arena: Arena,
  who: string,
  topic: TopicModel,
  index: number,
  records: Buffer,
  acks: number,
  heard: (result: Result | null) => void,
): void {
  const byId = topic.name !== STAYS;
  const topicData = [{ name: byId ? "" : topic.name, topicId: byId ? topic.id : ZERO_UUID, partitionData: [{ index, records }] }];
  arena.send(who, Produce, byId ? 13 : 12, { acks, timeoutMs: 1000, topicData }, (response) =>
    heard(response === null ? null : response.responses[0]!.partitionResponses[0]!),
  );
}

export type Result = Response<typeof Produce>["responses"][number]["partitionResponses"][number];

/** The topic that is never deleted. */
export const STAYS = "steady";

const paddingOf = (arena: Arena): number => (arena.random.chance(0.2) ? arena.random.int(1500) : arena.random.int(120));

export class PlainProducer implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private sent = 0;

  constructor(arena: Arena, name: string) {
    this.arena = arena;
    this.name = name;
  }

  step(): void {
    const { arena } = this;
    const { random } = arena;
    const live = arena.topics.live;
    if (live.length === 0) return;
    const topic = random.pick(live);
    this.write(topic, random.pick(topic.partitions), random.pick([-1, 1, 1, 0]));
  }

  /** `told` gets the offset of the first record, or why there is none. Without acks, neither. */
  write(topic: TopicModel, partition: PartitionModel, acks: number, told: (result: Result) => void = () => {}): void {
    const { arena, name } = this;
    const { random } = arena;
    const padding = paddingOf(arena);
    const texts = Array.from({ length: 1 + random.int(3) }, () => textOf(name, partition.name, this.sent++, padding));
    for (const text of texts) partition.sent.set(text, arena.history.nowMs);
    const who = `${name} ${partition.name}/${this.sent - texts.length}+${texts.length}`;
    const floor = partition.shownStart;
    produce(arena, who, topic, partition.index, batchOf(arena, texts, null), acks, (result) => {
      if (result === null) return;
      told(result);
      arena.checkCode(who, result.errorCode, topic.deletionSent ? GONE : []);
      if (result.errorCode !== 0) return;
      partition.acknowledge(result.baseOffset, texts);
      partition.showStart(result.logStartOffset, floor);
    });
  }
}

interface Batch {
  readonly sequence: number;
  readonly texts: readonly string[];
  baseOffset: number;
}

/** One idempotent producer's part in one partition. */
class Lane {
  readonly topic: TopicModel;
  readonly partition: PartitionModel;
  nextSequence = 0;
  /** Not acknowledged, in order. */
  waiting: Batch[] = [];
  inFlight = 0;
  /** Something of `waiting` has to be sent again, once nothing is in flight any more. */
  mustRepeat = false;
  /** The newest acknowledged ones. */
  done: Batch[] = [];

  constructor(topic: TopicModel, partition: PartitionModel) {
    this.topic = topic;
    this.partition = partition;
  }
}

export class IdempotentProducer implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  /** Given out so far, to anybody. */
  private readonly given: Set<number>;
  private producerId = -1;
  private asking = false;
  private readonly lanes = new Map<PartitionModel, Lane>();

  constructor(arena: Arena, name: string, given: Set<number>) {
    this.arena = arena;
    this.name = name;
    this.given = given;
  }

  step(): void {
    if (this.producerId < 0) {
      this.begin();
      return;
    }
    const { random, topics } = this.arena;
    const live = topics.live;
    if (live.length === 0) return;
    const topic = random.pick(live);
    this.stepIn(this.laneOf(topic, random.pick(topic.partitions)));
  }

  private begin(): void {
    const { arena, given, name } = this;
    if (this.asking) return;
    this.asking = true;
    arena.send(name, InitProducerId, 4, { transactionalId: null, transactionTimeoutMs: 0 }, (response) => {
      this.asking = false;
      if (response === null || response.errorCode !== 0) return;
      const { producerId } = response;
      arena.history.check("producer ids are never used again", !given.has(producerId), () => `${name} got ${producerId}`);
      given.add(producerId);
      this.producerId = producerId;
    });
  }

  private laneOf(topic: TopicModel, partition: PartitionModel): Lane {
    let lane = this.lanes.get(partition);
    if (lane === undefined) {
      lane = new Lane(topic, partition);
      this.lanes.set(partition, lane);
    }
    return lane;
  }

  private stepIn(lane: Lane): void {
    const { random } = this.arena;
    if (lane.mustRepeat) {
      if (lane.inFlight > 0) return;
      lane.mustRepeat = false;
      for (const batch of [...lane.waiting]) this.send(lane, batch);
    } else if (lane.inFlight === 0 && lane.done.length > 0 && random.chance(0.25)) this.repeat(lane, random.pick(lane.done));
    // The first goes alone: a log that never heard of a producer takes any sequence of it.
    else if (lane.inFlight < (lane.done.length === 0 ? 1 : IN_FLIGHT)) this.sendNext(lane);
  }

  private sendNext(lane: Lane): void {
    const { arena, name } = this;
    const { partition } = lane;
    const padding = paddingOf(arena);
    const sequence = lane.nextSequence;
    const texts = Array.from({ length: 1 + arena.random.int(3) }, (_, i) => textOf(name, partition.name, sequence + i, padding));
    lane.nextSequence += texts.length;
    for (const text of texts) partition.sent.set(text, arena.history.nowMs);
    const batch = { sequence, texts, baseOffset: -1 };
    lane.waiting.push(batch);
    this.send(lane, batch);
  }

  private send(lane: Lane, batch: Batch): void {
    const { arena, name, producerId } = this;
    const { partition, topic } = lane;
    const who = `${name} ${partition.name}/${batch.sequence}+${batch.texts.length}`;
    const isHead = lane.waiting[0] === batch;
    lane.inFlight++;
    produce(
      arena,
      who,
      topic,
      partition.index,
      batchOf(arena, batch.texts, { producerId, baseSequence: batch.sequence }),
      -1,
      (result) => {
        lane.inFlight--;
        if (result?.errorCode === 0) {
          this.acknowledged(lane, batch, result.baseOffset);
          return;
        }
        lane.mustRepeat = true;
        if (result === null) return;
        const isOutOfOrder = result.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER;
        arena.history.check("the next batch in sequence is taken", !(isHead && isOutOfOrder), () => who);
        if (!isOutOfOrder) arena.checkCode(who, result.errorCode, topic.deletionSent ? GONE : []);
      },
    );
  }

  private acknowledged(lane: Lane, batch: Batch, baseOffset: number): void {
    lane.partition.acknowledge(baseOffset, batch.texts);
    const at = lane.waiting.indexOf(batch);
    this.arena.history.check(
      "the next batch in sequence is taken",
      at === 0,
      () => `${this.name} ${lane.partition.name}/${batch.sequence} before an earlier one`,
    );
    lane.waiting.splice(at, 1);
    batch.baseOffset = baseOffset;
    lane.done = [...lane.done, batch].slice(-IN_FLIGHT);
  }

  /** As if the answer had been lost on the way: one of the last five is sent once more. */
  private repeat(lane: Lane, batch: Batch): void {
    const { arena, name, producerId } = this;
    const { partition, topic } = lane;
    const who = `${name} ${partition.name}/${batch.sequence}+${batch.texts.length} once more`;
    lane.inFlight++;
    produce(
      arena,
      who,
      topic,
      partition.index,
      batchOf(arena, batch.texts, { producerId, baseSequence: batch.sequence }),
      -1,
      (result) => {
        lane.inFlight--;
        if (result === null || (result.errorCode !== 0 && (topic.deletionSent || arena.mayRefuse))) return;
        arena.history.check(
          "a repeated batch has its first offset",
          result.errorCode === 0 && result.baseOffset === batch.baseOffset,
          () => `${who}: error ${result.errorCode}, ${result.baseOffset} after ${batch.baseOffset}`,
        );
      },
    );
  }
}
