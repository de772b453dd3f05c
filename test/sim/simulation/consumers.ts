/** Clients that fetch: with a session or without, by name or by id, patient or not. */
import { ErrorCode } from "../../../src/protocol/errors.ts";
import { Fetch } from "../../../src/protocol/messages/01-fetch.ts";
import { type RequestInput, type Response, ZERO_UUID } from "../../../src/protocol/schema.ts";
import type { Actor, Arena } from "./arena.ts";
import { takeAll } from "./batches.ts";
import type { PartitionModel } from "./partition-model.ts";
import { GONE, STAYS } from "./producers.ts";
import type { TopicModel } from "./topics-model.ts";

/** What a partition was known to be when a question was sent. */
interface Floor {
  readonly end: number;
  readonly start: number;
  readonly stableEnd: number;
}

/** What a session is told when it is gone or its requests got lost. */
const SESSION_ERRORS = [
  ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
  ErrorCode.INVALID_FETCH_SESSION_EPOCH,
  ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
];

export type FetchedPartition = Response<typeof Fetch>["responses"][number]["partitions"][number];

/** The records of an answer from `from` on, handed to the model; the offset behind the last. */
export function takeRecords(
  arena: Arena,
  partition: PartitionModel,
  answer: FetchedPartition,
  from: number,
  isCommitted: boolean,
): number {
  const { history, transactions } = arena;
  const { highWatermark, lastStableOffset } = answer;
  const { name } = partition;
  let next = from;
  takeAll(answer, from, isCommitted, ({ offset, value, isMarker, outcome }) => {
    history.check("offsets have no gap", offset === next, () => `${name}: ${offset} where ${next} is expected`);
    history.check("readers stay below the high watermark", offset < highWatermark, () => `${name}: ${offset}, ${highWatermark}`);
    if (isCommitted)
      history.check(
        "readers of committed data stay below the last stable offset",
        offset < lastStableOffset,
        () => `${name}: ${offset}, ${lastStableOffset}`,
      );
    if (isMarker) partition.readMarker(offset);
    else partition.read(offset, value!);
    if (outcome !== null) transactions.shown(value!, outcome, `in ${name}@${offset}`);
    next = offset + 1;
  });
  return next;
}

export class Consumer implements Actor {
  readonly name: string;
  private readonly arena: Arena;
  private readonly byId: boolean;
  private readonly usesSession: boolean;
  private readonly isLate: boolean;
  private readonly minBytes: number;
  private readonly maxBytes: number;
  private readonly partitionMaxBytes: number;
  private topic: TopicModel | null = null;
  private positions: number[] = [];
  private moved = new Set<number>();
  private session: [id: number, epoch: number] = [0, -1];
  private isWaiting = false;
  private isClosing = false;
  /** Its fetch is one for committed data. */
  private isCommitted = false;
  /** Fetches so far. */
  private turn = 0;
  private watched: { turn: number; bytes: number } | null = null;

  /** `isLate`: it begins where the others are, wants much, and comes without a session. */
  constructor(arena: Arena, name: string, { isLate } = { isLate: false }) {
    const { random } = arena;
    this.isLate = isLate;
    this.arena = arena;
    this.name = name;
    this.byId = random.chance(0.5);
    this.usesSession = !isLate && random.chance(0.6);
    this.minBytes = random.pick(isLate ? [200, 1000] : [1, 1, 200, 1000]);
    this.maxBytes = random.pick([1, 1000, 100_000]);
    this.partitionMaxBytes = random.pick([1, 500, 100_000]);
  }

  step(): void {
    if (this.isWaiting) return;
    if (this.topic === null || this.topic.deletionSent || this.arena.random.chance(0.02)) this.follow();
    if (this.topic !== null) this.fetch(this.topic);
  }

  /** Ends the session, so that nothing of it is left. */
  leave(): void {
    const { topic } = this;
    if (this.isWaiting || topic === null || this.session[0] === 0) return;
    this.isClosing = true;
    this.session = [this.session[0], -1];
    this.fetch(topic);
  }

  /** Remembers what there is to be read now, if it waits for that. */
  beginWatch(): void {
    this.watched = this.isWaiting ? { turn: this.turn, bytes: this.readableBytes() } : null;
  }

  /** Time has passed: a fetch that still waits had not enough to be answered with. */
  endWatch(): void {
    const { watched } = this;
    if (watched === null || !this.isWaiting || watched.turn !== this.turn || this.topic!.deletionSent) return;
    this.arena.history.check(
      "no fetch sleeps while there is what it waits for",
      watched.bytes < Math.min(this.minBytes, this.maxBytes),
      () =>
        `${this.name} sleeps at ${this.topic!.name}@${this.positions.join()}; ${watched.bytes} bytes of ${this.minBytes} are there`,
    );
  }

  /** What counts for its fetch, at least: a record's value is less than its batch. */
  private readableBytes(): number {
    let bytes = 0;
    for (const { topicId, index, known } of this.topic!.partitions.slice(0, this.positions.length)) {
      const partition = this.arena.world.broker.partitionById(topicId, index);
      const end = (this.isCommitted ? partition?.lastStableOffset : partition?.highWatermark) ?? 0;
      const from = this.positions[index]!;
      if (from < (partition?.logStartOffset ?? 0)) continue; // it will hear of that when its time is over
      const length = known.slice(from, end).reduce((sum, text) => sum + (text?.length ?? 0), 0);
      bytes += Math.min(this.partitionMaxBytes, end > from ? Math.max(1, length) : 0);
    }
    return bytes;
  }

  /** Goes on at the log's start, if that lies above. */
  private skipDeleted({ topicId, index }: PartitionModel): boolean {
    const start = this.arena.world.broker.partitionById(topicId, index)?.logStartOffset;
    if (start === undefined) return this.topic!.deletionSent; // gone, and who knows where it began
    if (this.positions[index]! >= start) return false;
    this.positions[index] = start;
    this.moved.add(index);
    return true;
  }

  private follow(): void {
    const { random, topics } = this.arena;
    const choices = topics.live.filter(({ name }) => this.byId || name === STAYS);
    this.topic = choices.length === 0 ? null : random.pick(choices);
    const position = ({ shownEnd }: PartitionModel): number => {
      if (this.isLate) return Math.max(0, shownEnd - random.int(3));
      return random.chance(0.5) ? 0 : random.int(shownEnd + 1);
    };
    this.positions = this.topic?.partitions.map(position) ?? [];
    this.renew();
  }

  private renew(): void {
    if (this.session[0] !== 0) this.arena.abandonedSessions++;
    this.session = this.usesSession ? [0, 0] : [0, -1];
    this.moved.clear();
  }

  private fetch(topic: TopicModel): void {
    const { arena, name } = this;
    while (this.positions.length < topic.partitions.length) this.moved.add(this.positions.push(0) - 1); // it has grown
    const floors = topic.partitions.map(({ shownEnd, shownStart, shownStableEnd }) => ({
      end: shownEnd,
      start: shownStart,
      stableEnd: shownStableEnd,
    }));
    this.isCommitted = arena.random.chance(0.5);
    this.isWaiting = true;
    this.turn++;
    arena.send(`${name} ${topic.name}@${this.positions.join()}`, Fetch, this.byId ? 16 : 12, this.request(topic), (response) => {
      this.isWaiting = false;
      if (response === null) this.renew();
      else this.take(response, topic, floors);
    });
  }

  private request(topic: TopicModel): RequestInput<typeof Fetch> {
    const { session, byId, moved, positions } = this;
    const isFull = session[1] <= 0;
    const partitions = topic.partitions
      .filter(({ index }) => !this.isClosing && (isFull || moved.has(index)))
      .map(({ index }) => ({
        partition: index,
        fetchOffset: positions[index]!,
        partitionMaxBytes: this.partitionMaxBytes,
        currentLeaderEpoch: 0,
        lastFetchedEpoch: -1,
      }));
    moved.clear();
    const named = { topic: byId ? "" : topic.name, topicId: byId ? topic.id : ZERO_UUID, partitions };
    return {
      maxWaitMs: this.isClosing ? 0 : 20_000,
      minBytes: this.minBytes,
      maxBytes: this.maxBytes,
      isolationLevel: this.isCommitted ? 1 : 0,
      sessionId: session[0],
      sessionEpoch: session[1],
      topics: partitions.length === 0 ? [] : [named],
      forgottenTopicsData: [],
    };
  }

  private take(response: Response<typeof Fetch>, topic: TopicModel, floors: readonly Floor[]): void {
    const { arena, name } = this;
    if (this.isClosing) {
      this.topic = null;
      this.isClosing = false;
      return;
    }
    if (response.errorCode !== 0) {
      arena.checkCode(name, response.errorCode, SESSION_ERRORS);
      this.renew();
      return;
    }
    for (const answer of response.responses.flatMap(({ partitions }) => partitions)) {
      const index = answer.partitionIndex;
      const partition = topic.partitions[index]!;
      if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && this.skipDeleted(partition)) continue;
      arena.checkCode(`${name} ${topic.name}-${index}`, answer.errorCode, topic.deletionSent ? GONE : []);
      if (answer.errorCode !== 0) continue;
      partition.showHighWatermark(answer.highWatermark, floors[index]!.end);
      partition.showStart(answer.logStartOffset, floors[index]!.start);
      partition.showStable(answer.lastStableOffset, floors[index]!.stableEnd);
      arena.history.check(
        "nothing below the log start is served",
        this.positions[index]! >= floors[index]!.start || answer.records!.length === 0,
        () => `${name} at ${partition.name}@${this.positions[index]}, which began at ${floors[index]!.start}`,
      );
      const next = takeRecords(arena, partition, answer, this.positions[index]!, this.isCommitted);
      if (next === this.positions[index]) continue;
      this.positions[index] = next;
      this.moved.add(index);
    }
    if (this.usesSession)
      this.session = [response.sessionId, response.sessionId === 0 ? 0 : this.session[1] <= 0 ? 1 : this.session[1] + 1];
  }
}
