/**
 * Who in a group subscribes to what, counted: topics by name and by pattern, patterns, assignors. A copy shows what a change would
 * make of them before it is made. Source: ModernGroup, ConsumerGroup, SubscriptionCount.
 */
import { regexOf } from "./consumer-member.ts";
import type { MemberMetadata, ResolvedRegex } from "./durable.ts";

/** How many members name a topic, and how many patterns of the group stand for it. */
interface TopicCount {
  byName: number;
  byRegex: number;
}

export class Subscriptions {
  readonly topics: Map<string, TopicCount>;
  /** Members by pattern. */
  readonly regexes: Map<string, number>;
  /** Members by the assignor that they ask for, in the order in which it was first asked for. */
  readonly assignors: Map<string, number>;
  members: number;

  constructor(from?: Subscriptions) {
    this.topics = new Map([...(from?.topics ?? [])].map(([name, count]) => [name, { ...count }]));
    this.regexes = new Map(from?.regexes);
    this.assignors = new Map(from?.assignors);
    this.members = from?.members ?? 0;
  }

  /** One member in the place of another; null: nobody. */
  replace(before: MemberMetadata | null, after: MemberMetadata | null): void {
    if (before !== null) this.add(before, -1);
    if (after !== null) this.add(after, 1);
  }

  /** What a pattern stands for now, and what it stood for before. */
  resolve(before: ResolvedRegex | undefined, after: ResolvedRegex | null): void {
    for (const name of before?.topics ?? []) this.countTopic(name, "byRegex", -1);
    for (const name of after?.topics ?? []) this.countTopic(name, "byRegex", 1);
  }

  /** The assignor that most members ask for, null if none does. */
  get preferredAssignor(): string | null {
    let preferred: string | null = null;
    let most = 0;
    for (const [name, count] of this.assignors) {
      if (count <= most) continue;
      preferred = name;
      most = count;
    }
    return preferred;
  }

  /** Whether all members subscribe to the same topics. */
  get isHomogeneous(): boolean {
    const counts = [...this.topics.values()];
    if (this.regexes.size === 0) return counts.every(({ byName }) => byName === this.members);
    const [ofFirst] = this.regexes.values();
    return ofFirst === this.members && counts.every(({ byName, byRegex }) => byRegex === 1 && byName === 0);
  }

  private add(member: MemberMetadata, change: 1 | -1): void {
    this.members += change;
    for (const name of member.topicNames) this.countTopic(name, "byName", change);
    const regex = regexOf(member);
    if (regex !== null) count(this.regexes, regex, change);
    if (member.serverAssignor !== null) count(this.assignors, member.serverAssignor, change);
  }

  private countTopic(name: string, by: keyof TopicCount, change: 1 | -1): void {
    const known = this.topics.get(name) ?? { byName: 0, byRegex: 0 };
    known[by] += change;
    if (known.byName <= 0 && known.byRegex <= 0) this.topics.delete(name);
    else this.topics.set(name, known);
  }
}

function count(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const value = (counts.get(key) ?? 0) + change;
  if (value <= 0) counts.delete(key);
  else counts.set(key, value);
}
