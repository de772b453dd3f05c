/** Fetch: with and without sessions (KIP-227), by name and by id (KIP-516), long-polling. The reading and waiting is broker/fetch-run. */
import type { Broker } from "../broker/broker.ts";
import { type FetchLimits, type FetchOwner, FetchRun, type TargetResult } from "../broker/fetch-run.ts";
import { type FetchSession, fetchKind, NO_SESSION } from "../broker/fetch-sessions.ts";
import { FetchTarget, FetchTargets, type TargetListener } from "../broker/fetch-target.ts";
import type { Partition } from "../broker/partition.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { Fetch } from "../protocol/messages/01-fetch.ts";
import { currentLeader, leaderNodes } from "./current-leader.ts";
import { type Call, handler } from "./handler.ts";

type FetchCall = Call<typeof Fetch>;
type AskedTopic = FetchCall["request"]["topics"][number];
type AskedPartition = AskedTopic["partitions"][number];
type FetchAnswer = Parameters<FetchCall["reply"]>[0];
type TopicAnswer = FetchAnswer["responses"][number];
type PartitionAnswer = TopicAnswer["partitions"][number];

const IDS_SINCE = 13;
const REPLICA_STATE_SINCE = 15;
const LEADERS_SINCE = 16;

export const fetch = handler<typeof Fetch>({
  api: Fetch,
  served: "4-18",
  handle(call) {
    const { request, broker } = call;
    const kind = fetchKind(request.sessionEpoch);
    if (kind === "incremental") return continueSession(call);
    if (request.sessionId !== NO_SESSION) broker.fetchSessions.remove(request.sessionId);
    const session = kind === "full" ? openSession(call) : null;
    if (session === null) new SingleFetch(call).start();
    else new SessionFetch(call, session, true).start();
  },
  onError(error, call) {
    // FetchRequest.getErrorResponse: before v13 clients look at the partitions. What is wrong with a session says nothing of them.
    const isTold = call.version < IDS_SINCE && !isSessionError(error.code);
    return {
      errorCode: error.code,
      sessionId: isSessionError(error.code) ? NO_SESSION : call.request.sessionId,
      responses: isTold ? call.request.topics.map((topic) => allFailed(topic, errorCodeFor(call.version, error.code))) : [],
    };
  },
});

const isSessionError = (code: number): boolean =>
  code === ErrorCode.FETCH_SESSION_ID_NOT_FOUND ||
  code === ErrorCode.INVALID_FETCH_SESSION_EPOCH ||
  code === ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR;

function allFailed({ topic, topicId, partitions }: AskedTopic, errorCode: number): TopicAnswer {
  const failed = partitions.map(({ partition }) => ({
    partitionIndex: partition,
    errorCode,
    highWatermark: -1,
    abortedTransactions: null,
    records: [],
  }));
  return { topic, topicId, partitions: failed };
}

/** A fetch without a session: its targets live as long as the request. */
class SingleFetch implements FetchOwner, TargetListener {
  private readonly call: FetchCall;
  private readonly run: FetchRun;
  /** In the order of the request; of a partition that is named twice, what it says last. */
  private readonly list: FetchTarget[] = [];
  private watches = false;

  constructor(call: FetchCall) {
    this.call = call;
    this.run = new FetchRun(limitsOf(call), this, call.broker.clock, call.broker.deadlines);
    const targets = new FetchTargets();
    forEachAsked(call, (topic, asked) => {
      const key = topic.topic || topic.topicId;
      let target = targets.get(key, asked.partition);
      if (target === undefined) {
        target = new FetchTarget(topic.topic, topic.topicId, asked.partition, this);
        targets.add(key, target);
        this.list.push(target);
      }
      update(target, asked);
    });
  }

  start(): void {
    this.run.start();
  }

  moved(target: FetchTarget, bytes: number): void {
    this.run.moved(target, bytes);
  }

  closed(): void {
    this.run.closed();
  }

  targets(): Iterable<FetchTarget> {
    return this.list;
  }

  hasPartition(): boolean {
    return this.list.some(({ partition }) => partition !== null);
  }

  resolve(target: FetchTarget): Partition | KafkaError {
    const found = findPartition(this.call.broker, this.call.version, target);
    if (this.watches && !(found instanceof KafkaError)) found.watch(target);
    return found;
  }

  roomBytes(): number {
    return roomBytesOf(this.call);
  }

  onYield(): void {
    this.watches = true;
    for (const target of this.list) target.partition?.watch(target);
  }

  isAbandoned(): boolean {
    return this.call.connection.closed;
  }

  onDone(results: readonly TargetResult[]): void {
    this.unwatch();
    reply(this.call, NO_SESSION, results);
  }

  onCut(): void {
    this.onDone([]); // never: only sessions cut
  }

  onFailed(error: unknown): void {
    this.unwatch();
    this.call.fail(error);
  }

  private unwatch(): void {
    if (!this.watches) return;
    for (const target of this.list) target.partition?.unwatch(target);
  }
}

/** One request of a session. The session hears of its targets all the time, and tells the run that is under way. */
class SessionFetch implements FetchOwner {
  private readonly call: FetchCall;
  private readonly session: FetchSession;
  private readonly isFirst: boolean;
  private readonly run: FetchRun;

  constructor(call: FetchCall, session: FetchSession, isFirst: boolean) {
    this.call = call;
    this.session = session;
    this.isFirst = isFirst;
    this.run = new FetchRun(limitsOf(call), this, call.broker.clock, call.broker.deadlines);
  }

  start(): void {
    this.session.run = this.run;
    this.run.start();
  }

  targets(): Iterable<FetchTarget> {
    return this.session.dirty;
  }

  hasPartition(): boolean {
    for (const { partition } of this.session.targets) if (partition !== null) return true;
    return false;
  }

  resolve(target: FetchTarget): Partition | KafkaError {
    const found = findPartition(this.call.broker, this.call.version, target);
    if (!(found instanceof KafkaError)) found.watch(target);
    return found;
  }

  roomBytes(): number {
    return roomBytesOf(this.call);
  }

  onYield(): void {}

  isAbandoned(): boolean {
    return this.call.connection.closed;
  }

  onDone(results: readonly TargetResult[]): void {
    const { session, isFirst } = this;
    session.run = null;
    const told = results.filter((result) => session.tell(result, isFirst));
    reply(this.call, session.id, told);
  }

  onCut(error: KafkaError | null): void {
    this.session.run = null;
    this.call.reply({ errorCode: error?.code ?? ErrorCode.NONE, sessionId: this.session.id, responses: [] });
  }

  onFailed(error: unknown): void {
    if (this.session.run === this.run) this.session.run = null;
    this.call.fail(error);
  }
}

function openSession(call: FetchCall): FetchSession | null {
  const { fetchSessions, clock } = call.broker;
  const count = call.request.topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
  const session = fetchSessions.create(count, call.version >= IDS_SINCE, clock.monotonicMs());
  if (session === null) return null;
  follow(call, session);
  fetchSessions.count(session);
  return session;
}

function continueSession(call: FetchCall): void {
  const { request, broker } = call;
  const { fetchSessions, clock } = broker;
  const { sessionId, sessionEpoch } = request;
  const session = fetchSessions.resume(sessionId, sessionEpoch, call.version >= IDS_SINCE, clock.monotonicMs());
  follow(call, session);
  for (const { topic, topicId, partitions } of request.forgottenTopicsData) {
    for (const index of partitions) session.forget(topic || topicId, index);
  }
  fetchSessions.count(session);
  if (session.targets.size > 0) return new SessionFetch(call, session, false).start();
  fetchSessions.remove(session.id);
  new SingleFetch(call).start();
}

/** Takes the request's partitions into the session. */
function follow(call: FetchCall, session: FetchSession): void {
  forEachAsked(call, (topic, asked) => {
    const key = topic.topic || topic.topicId;
    let target = session.targets.get(key, asked.partition);
    if (target === undefined) {
      target = new FetchTarget(topic.topic, topic.topicId, asked.partition, session);
      session.targets.add(key, target);
    }
    update(target, asked);
    session.dirty.add(target);
  });
}

function forEachAsked(call: FetchCall, visit: (topic: AskedTopic, asked: AskedPartition) => void): void {
  for (const topic of call.request.topics) for (const asked of topic.partitions) visit(topic, asked);
}

function update(target: FetchTarget, asked: AskedPartition): void {
  target.fetchOffset = asked.fetchOffset;
  target.maxBytes = Math.max(0, asked.partitionMaxBytes); // below 0, Kafka answers UNKNOWN_SERVER_ERROR where there are records
  target.currentLeaderEpoch = Math.max(-1, asked.currentLeaderEpoch);
  target.lastFetchedEpoch = asked.lastFetchedEpoch;
}

/** In a session a topic id keeps the name that it had: gone, it is an unknown topic; with the name at another topic, an inconsistent id. */
function findPartition(broker: Broker, version: number, target: FetchTarget): Partition | KafkaError {
  const { topicId, index } = target;
  if (version < IDS_SINCE) return broker.partition(target.name, index) ?? new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  if (target.name === "") target.name = broker.image.topicById(topicId)?.name ?? "";
  if (target.name === "") return new KafkaError("UNKNOWN_TOPIC_ID");
  const found = broker.partition(target.name, index);
  if (found === undefined) return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  return found.topicId === topicId ? found : new KafkaError("INCONSISTENT_TOPIC_ID");
}

/** However scarce memory is, a fetch may bring so much: otherwise nobody would get on. */
const LEAST_ROOM_BYTES = 64 * 1024;

const roomBytesOf = (call: FetchCall): number => Math.max(LEAST_ROOM_BYTES, call.answerRoomBytes);

function limitsOf(call: FetchCall): FetchLimits {
  const { request, broker } = call;
  const maxBytes = Math.min(request.maxBytes, broker.config.fetchMaxBytes, roomBytesOf(call));
  return {
    maxWaitMs: request.maxWaitMs,
    minBytes: Math.min(request.minBytes, maxBytes),
    maxBytes,
    isolation: request.isolationLevel === 1 ? "read_committed" : "read_uncommitted",
    isReplica: isReplica(call),
  };
}

const isReplica = ({ request, version }: FetchCall): boolean =>
  (version < REPLICA_STATE_SINCE ? request.replicaId : request.replicaState.replicaId) >= 0;

function reply(call: FetchCall, sessionId: number, results: readonly TargetResult[]): void {
  const answer: FetchAnswer = { errorCode: ErrorCode.NONE, sessionId, responses: [] };
  let last: TopicAnswer | null = null;
  for (const result of results) {
    const { topic, topicId } = result.target;
    if (last === null || last.topic !== topic || last.topicId !== topicId) {
      last = { topic, topicId, partitions: [] };
      answer.responses.push(last);
    }
    last.partitions.push(partitionAnswer(call, result));
  }
  if (call.version >= LEADERS_SINCE) tellLeaders(call, answer, results);
  call.reply(answer);
}

function partitionAnswer(call: FetchCall, result: TargetResult): PartitionAnswer {
  const { errorCode } = result;
  const answer: PartitionAnswer = {
    partitionIndex: result.target.index,
    errorCode: errorCodeFor(call.version, errorCode),
    highWatermark: result.highWatermark,
    lastStableOffset: result.lastStableOffset,
    logStartOffset: result.logStartOffset,
    abortedTransactions: result.abortedTransactions,
    records: result.records, // never null: librdkafka's parser fails on it
  };
  if (result.divergingEpoch !== null) answer.divergingEpoch = result.divergingEpoch;
  return answer;
}

/** KIP-951. Replicas are told no addresses: they know the nodes. */
function tellLeaders(call: FetchCall, answer: FetchAnswer, results: readonly TargetResult[]): void {
  if (!results.some(({ errorCode }) => isOfLeadership(errorCode))) return;
  const told = answer.responses.flatMap(({ partitions }) => partitions);
  const leaderIds = new Set<number>();
  for (const [i, { target, errorCode }] of results.entries()) {
    const leader = isOfLeadership(errorCode) ? currentLeader(call.broker, target.partition) : null;
    if (leader === null) continue;
    told[i]!.currentLeader = leader;
    leaderIds.add(leader.leaderId);
  }
  if (!isReplica(call)) answer.nodeEndpoints = leaderNodes(call.broker, call.connection, leaderIds);
}

const isOfLeadership = (errorCode: number): boolean =>
  errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER || errorCode === ErrorCode.FENCED_LEADER_EPOCH;

/** Clients before v6 do not know KAFKA_STORAGE_ERROR. */
function errorCodeFor(version: number, errorCode: number): number {
  return version <= 5 && errorCode === ErrorCode.KAFKA_STORAGE_ERROR ? ErrorCode.NOT_LEADER_OR_FOLLOWER : errorCode;
}
