/**
 * The patterns that members of a group subscribe to, and the topics that they stand for. Looking for those happens beside heartbeats,
 * for all patterns of a group at once and a share of the work at a time; what was found goes into the log, and if it is new, into the
 * next target assignment. Source: GroupMetadataManager.maybeUpdateRegularExpressions, handleRegularExpressionsResult.
 */
import { ErrorCode } from "../../protocol/errors.ts";
import type { GroupRecord } from "../durable.ts";
import type { Turn } from "../turn.ts";
import { ConsumerError } from "./consumer-error.ts";
import type { ConsumerGroup } from "./consumer-group.ts";
import type { ConsumerGroups } from "./consumer-groups.ts";
import { type ConsumerMember, regexOf } from "./consumer-member.ts";
import type { ResolvedRegex } from "./durable.ts";
import { Regex } from "./regex.ts";
import { PatternError } from "./regex-syntax.ts";
import { Subscriptions } from "./subscriptions.ts";

/** A group looks no more often, whatever happens. */
const MIN_REFRESH_INTERVAL_MS = 10_000;
/** How much of a search is done before others have their turn; see Regex.work. About 10 ms. */
const WORK_PER_TURN = 1_000_000;
/** What one name costs at least. */
const WORK_PER_NAME = 20;

/** What a heartbeat changes in the pattern of its member. */
export type PatternChange = "none" | "changed" | "changed, and its topics are known";

/**
 * Writes down what follows at once from a member's new pattern, and begins a search where one is due. Throws ConsumerError for
 * a pattern that is refused.
 */
export function updatePatterns(
  turn: Turn,
  groups: ConsumerGroups,
  group: ConsumerGroup,
  { member, updated }: { readonly member: ConsumerMember; readonly updated: ConsumerMember },
  records: GroupRecord[],
): PatternChange {
  const [before, after] = [regexOf(member), regexOf(updated)];
  const change = member.topicRegex === updated.topicRegex ? "none" : changeOf(group, before, after, records);
  const isNew = change !== "none" && after !== null && !group.subscriptions.regexes.has(after);
  searchIfDue(turn, groups, group, { before, after, isNew });
  return change;
}

function changeOf(
  group: ConsumerGroup,
  before: string | null,
  after: string | null,
  records: GroupRecord[],
): Exclude<PatternChange, "none"> {
  const { regexes } = group.subscriptions;
  if (before !== null && regexes.get(before) === 1)
    records.push({ kind: "consumer-regex", groupId: group.id, regex: before, value: null });
  if (after === null) return before === null ? "changed" : "changed, and its topics are known";
  if (!regexes.has(after)) checkPattern(after);
  return regexes.has(after) && group.resolved.has(after) ? "changed, and its topics are known" : "changed";
}

function checkPattern(pattern: string): void {
  try {
    new Regex(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    const message = `SubscribedTopicRegex \`${pattern}\` is not a valid regular expression: ${error.message}.`;
    throw new ConsumerError(ErrorCode.INVALID_REGULAR_EXPRESSION, message);
  }
}

function searchIfDue(
  turn: Turn,
  groups: ConsumerGroups,
  group: ConsumerGroup,
  { before, after, isNew }: { before: string | null; after: string | null; isNew: boolean },
): void {
  const { regexes } = group.subscriptions;
  if (!isNew && regexes.size === 0) return;
  const soft = groups.soft(group.id);
  if (soft.search !== null) return;
  const [last] = group.resolved.values();
  if (last !== undefined && turn.wallMs <= last.resolvedMs + MIN_REFRESH_INTERVAL_MS) return;
  const wanted = new Set(regexes.keys());
  if (before !== null && regexes.get(before) === 1) wanted.delete(before);
  if (after !== null) wanted.add(after);
  const isDue =
    isNew ||
    wanted.size !== group.resolved.size ||
    (last?.version ?? 0) < groups.topics.newTopicsVersion ||
    last === undefined ||
    turn.wallMs > last.resolvedMs + turn.config.consumer.regexRefreshIntervalMs;
  if (!isDue || wanted.size === 0) return;
  soft.search = new PatternSearch(wanted, groups);
  turn.wake(soft.patterns, 0);
}

/** Looks through the names of all topics, a share at a time. */
export class PatternSearch {
  private readonly version: number;
  private readonly found: { readonly pattern: string; readonly regex: Regex; readonly topics: string[] }[];
  private readonly names: Iterator<string>;

  constructor(patterns: Iterable<string>, { topics }: ConsumerGroups) {
    this.version = topics.version;
    // A pattern that an earlier Kafka let in and that is refused here stands for nothing.
    this.found = [...patterns].flatMap((pattern) => {
      const regex = compiled(pattern);
      return regex === null ? [] : [{ pattern, regex, topics: [] }];
    });
    this.names = [...topics.names()][Symbol.iterator]();
  }

  /** What was found by pattern, or null if there is more to do. */
  proceed(resolvedMs: number): Map<string, ResolvedRegex> | null {
    let work = 0;
    while (work < WORK_PER_TURN) {
      const next = this.names.next();
      if (next.done) return this.result(resolvedMs);
      for (const { regex, topics } of this.found) {
        const before = regex.work;
        if (regex.matches(next.value)) topics.push(next.value);
        work += WORK_PER_NAME + regex.work - before;
      }
    }
    return null;
  }

  private result(resolvedMs: number): Map<string, ResolvedRegex> {
    const { version } = this;
    return new Map(this.found.map(({ pattern, topics }) => [pattern, { topics: topics.sort(), version, resolvedMs }]));
  }
}

function compiled(pattern: string): Regex | null {
  try {
    return new Regex(pattern);
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return null;
  }
}

/** A search goes on; at its end the group learns what was found. */
export function patternsAreDue(turn: Turn, groups: ConsumerGroups, groupId: string): void {
  const soft = groups.soft(groupId);
  const found = soft.search?.proceed(turn.wallMs);
  if (found === undefined) return;
  if (found === null) {
    turn.wake(soft.patterns, 1); // others have their turn
    return;
  }
  soft.search = null;
  const group = groups.get(groupId);
  if (group !== undefined) learn(turn, groups, group, found);
}

function learn(turn: Turn, groups: ConsumerGroups, group: ConsumerGroup, found: ReadonlyMap<string, ResolvedRegex>): void {
  const subscriptions = new Subscriptions(group.subscriptions);
  let isNew = false;
  for (const [regex, value] of found) {
    if (!group.subscriptions.regexes.has(regex)) continue; // nobody asks for it any more
    const before = group.resolved.get(regex);
    if ((before?.topics ?? []).join() !== value.topics.join()) {
      isNew = true;
      subscriptions.resolve(before, value);
    }
    turn.records.push({ kind: "consumer-regex", groupId: group.id, regex, value });
  }
  const metadataHash = groups.hashOf(subscriptions);
  if (!isNew && metadataHash === group.metadataHash) return;
  groups.bumpEpoch(turn, group, metadataHash, turn.records);
}
