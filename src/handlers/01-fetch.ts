/** Fetch: with and without sessions (KIP-227), by name and by id (KIP-516), long-polling. The reading and waiting is broker/fetch-run. */
import type { Broker } from "../broker/broker.ts";
import { type FetchLimits, FetchRun, FetchTarget, type TargetListener, type TargetResult } from "../broker/fetch-run.ts";
import { type FetchSession, fetchKind, NO_SESSION, targetKey } from "../broker/fetch-sessions.ts";
import type { Partition } from "../broker/partition.ts";
import { ErrorCode, KafkaError } from "../protocol/errors.ts";
import { Fetch } from "../protocol/messages/01-fetch.ts";
import { type Call, handler } from "./handler.ts";

type FetchCall = Call<typeof Fetch>;
type AskedTopic = FetchCall["request"]["topics"][number];

const IDS_SINCE = 13;

export const fetch = handler<typeof Fetch>({
  api: Fetch,
  served: "4-18",
  handle(call) {
    const { broker, request } = call;
    const kind = fetchKind(request.sessionEpoch);
    if (kind === "incremental") return continueSession(call);
    if (request.sessionId !== NO_SESSION) broker.fetchSessions.remove(request.sessionId);
    const count = request.topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
    const session =
      kind === "full" ? broker.fetchSessions.create(count, call.version >= IDS_SINCE, broker.clock.monotonicMs()) : null;
    if (session === null) runOnce(call);
    else {
      const added = followTargets(call, session);
      broker.fetchSessions.shrink(count - added); // a partition named twice counts once
      runSession(call, session, true);
    }
  },
  onError: (error) => ({ errorCode: error.code, sessionId: NO_SESSION, responses: [] }),
});

/** A fetch without a session: its targets live as long as the request. */
function runOnce(call: FetchCall): void {
  let parked: FetchRun | null = null;
  const listener: TargetListener = { moved: (target, bytes) => parked?.moved(target, bytes) };
  const targets = new Map<string, FetchTarget>();
  forEachAsked(call, (topic, asked) => {
    const target = new FetchTarget(topic.topic, topic.topicId, asked.partition, listener);
    update(target, asked);
    targets.set(targetKey(topic.topic || topic.topicId, asked.partition), target);
  });
  if (targets.size === 0) return reply(call, NO_SESSION, []);
  const run = new FetchRun({
    limits: limitsOf(call),
    deadlines: call.broker.deadlines,
    targets: () => targets.values(),
    resolve: (target) => findPartition(call.broker, call.version, target),
    park(waiting) {
      parked = waiting;
      for (const target of targets.values()) {
        if (waiting === null) target.partition?.unwatch(target);
        else target.partition?.watch(target);
      }
    },
    abandoned: () => call.connection.closed,
    done: (results) => reply(call, NO_SESSION, results),
  });
  run.start(call.broker.clock.monotonicMs());
}

function continueSession(call: FetchCall): void {
  const { broker, request } = call;
  const sessions = broker.fetchSessions;
  const session = sessions.resume(request.sessionId, request.sessionEpoch, call.version >= IDS_SINCE, broker.clock.monotonicMs());
  sessions.grow(followTargets(call, session));
  const before = session.targets.size;
  for (const topic of request.forgottenTopicsData) {
    for (const index of topic.partitions) session.forget(targetKey(topic.topic || topic.topicId, index));
  }
  sessions.shrink(before - session.targets.size);
  if (session.targets.size > 0) return runSession(call, session, false);
  sessions.remove(session.id);
  reply(call, NO_SESSION, []);
}

/** Takes the request's partitions into the session; returns how many are new to it. */
function followTargets(call: FetchCall, session: FetchSession): number {
  let added = 0;
  forEachAsked(call, (topic, asked) => {
    const key = targetKey(topic.topic || topic.topicId, asked.partition);
    let target = session.targets.get(key);
    if (target === undefined) {
      added++;
      target = new FetchTarget(topic.topic, topic.topicId, asked.partition, session);
      session.targets.set(key, target);
    }
    update(target, asked);
    session.dirty.add(target);
  });
  return added;
}

function runSession(call: FetchCall, session: FetchSession, isFirst: boolean): void {
  const run = new FetchRun({
    limits: limitsOf(call),
    deadlines: call.broker.deadlines,
    targets: () => session.dirty,
    resolve(target) {
      const found = findPartition(call.broker, call.version, target);
      if (!(found instanceof KafkaError)) found.watch(target);
      return found;
    },
    park(waiting) {
      session.parked = waiting;
    },
    abandoned: () => call.connection.closed,
    done(results) {
      reply(
        call,
        session.id,
        results.filter((result) => session.tell(result, isFirst)),
      );
    },
  });
  run.start(call.broker.clock.monotonicMs());
}

function forEachAsked(call: FetchCall, visit: (topic: AskedTopic, asked: AskedTopic["partitions"][number]) => void): void {
  for (const topic of call.request.topics) for (const asked of topic.partitions) visit(topic, asked);
}

function update(target: FetchTarget, asked: AskedTopic["partitions"][number]): void {
  target.fetchOffset = asked.fetchOffset;
  target.maxBytes = asked.partitionMaxBytes;
  target.currentLeaderEpoch = asked.currentLeaderEpoch;
  target.lastFetchedEpoch = asked.lastFetchedEpoch;
}

function findPartition(broker: Broker, version: number, target: FetchTarget): Partition | KafkaError {
  if (version < IDS_SINCE) return broker.partition(target.topic, target.index) ?? new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  const found = broker.partitionById(target.topicId, target.index);
  if (found !== undefined) return found;
  return new KafkaError(broker.image.topicById(target.topicId) === undefined ? "UNKNOWN_TOPIC_ID" : "UNKNOWN_TOPIC_OR_PARTITION");
}

function limitsOf(call: FetchCall): FetchLimits {
  const { request, broker } = call;
  const maxBytes = Math.min(request.maxBytes, broker.config.fetchMaxBytes);
  return {
    maxWaitMs: request.maxWaitMs,
    minBytes: Math.min(request.minBytes, maxBytes),
    maxBytes,
    isolation: request.isolationLevel === 1 ? "read_committed" : "read_uncommitted",
  };
}

function reply(call: FetchCall, sessionId: number, results: readonly TargetResult[]): void {
  const readCommitted = call.request.isolationLevel === 1;
  const responses: Parameters<FetchCall["reply"]>[0]["responses"] = [];
  for (const result of results) {
    const { topic, topicId, index } = result.target;
    let last = responses[responses.length - 1];
    if (last === undefined || last.topic !== topic || last.topicId !== topicId) {
      last = { topic, topicId, partitions: [] };
      responses.push(last);
    }
    last.partitions.push({
      partitionIndex: index,
      errorCode: errorCodeFor(call.version, result.errorCode),
      highWatermark: result.highWatermark,
      lastStableOffset: result.lastStableOffset,
      logStartOffset: result.logStartOffset,
      ...(result.divergingEpoch === null ? {} : { divergingEpoch: result.divergingEpoch }),
      abortedTransactions: readCommitted ? [] : null,
      records: result.records, // never null: librdkafka's parser fails on it
    });
  }
  call.reply({ errorCode: ErrorCode.NONE, sessionId, responses });
}

/** Clients before v6 do not know KAFKA_STORAGE_ERROR. */
function errorCodeFor(version: number, errorCode: number): number {
  return version <= 5 && errorCode === ErrorCode.KAFKA_STORAGE_ERROR ? ErrorCode.NOT_LEADER_OR_FOLLOWER : errorCode;
}
