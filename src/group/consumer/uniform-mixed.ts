/**
 * "uniform" for groups whose members read different topics: first everybody keeps what is still theirs, then what nobody has is
 * dealt out to whoever has least, then partitions move from those with most to those with least, topic by topic, until that
 * helps no more. Source: UniformHeterogeneousAssignmentBuilder.
 */
import type { Assignment } from "./assignment.ts";
import type { AssignorGroup, AssignorMember, TargetAssignment } from "./assignor.ts";
import { Balancer } from "./uniform-balancer.ts";

/** Each round about halves what is out of balance; with overlapping subscriptions it can take many to be done. */
const MAX_ROUNDS = 16;
const NOBODY = -1;

/** A topic with its readers and owners, as indexes of members. */
interface Topic {
  readonly id: string;
  /** Ascending. */
  readonly subscribers: number[];
  /** By partition. */
  readonly owners: Int32Array;
}

export function assignMixed(group: AssignorGroup): TargetAssignment {
  const topics = topicsOf(group);
  if (topics.size === 0) return new Map();
  /** Partitions of each member. */
  const sizes = new Int32Array(group.members.length);
  group.members.forEach((member, i) => {
    sizes[i] = keep(member, i, topics);
  });
  const sorted = [...topics.values()].sort(byPartitionsPerSubscriber);
  const balancer = new Balancer(sizes);
  for (const topic of sorted) dealOut(topic, balancer, sizes);
  balance(
    sorted.filter(({ subscribers }) => subscribers.length >= 2),
    balancer,
    sizes,
  );
  return resultOf(group, topics);
}

function topicsOf(group: AssignorGroup): Map<string, Topic> {
  const topics = new Map<string, Topic>();
  group.members.forEach(({ topicIds }, i) => {
    for (const id of topicIds) {
      const topic = topics.get(id);
      if (topic !== undefined) topic.subscribers.push(i);
      else topics.set(id, { id, subscribers: [i], owners: new Int32Array(group.partitionCount(id)).fill(NOBODY) });
    }
  });
  return topics;
}

/** Marks what the member has and still reads; gives the number. */
function keep(member: AssignorMember, index: number, topics: ReadonlyMap<string, Topic>): number {
  let count = 0;
  for (const [topicId, partitions] of member.assignment) {
    if (!member.topicIds.has(topicId)) continue;
    const { owners } = topics.get(topicId)!;
    for (const partition of partitions) owners[partition] = index;
    count += partitions.length;
  }
  return count;
}

/** Most partitions for each subscriber first, then fewest subscribers, then Kafka's order of ids. */
function byPartitionsPerSubscriber(a: Topic, b: Topic): number {
  const order = b.owners.length / b.subscribers.length - a.owners.length / a.subscribers.length;
  return order || a.subscribers.length - b.subscribers.length || compareTopicIds(a.id, b.id);
}

/** As two signed numbers of 64 bits. Source: Uuid.compareTo. */
function compareTopicIds(a: string, b: string): number {
  const [left, right] = [Buffer.from(a, "base64url"), Buffer.from(b, "base64url")];
  for (const at of [0, 8]) {
    const [x, y] = [left.readBigInt64BE(at), right.readBigInt64BE(at)];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function dealOut(topic: Topic, balancer: Balancer, sizes: Int32Array): void {
  if (!topic.owners.includes(NOBODY)) return;
  balancer.begin(topic.subscribers);
  topic.owners.forEach((owner, partition) => {
    if (owner === NOBODY) give(topic, partition, balancer.nextLeastLoaded(), sizes);
  });
}

function give(topic: Topic, partition: number, to: number, sizes: Int32Array): void {
  const from = topic.owners[partition]!;
  if (from !== NOBODY) sizes[from]!--;
  topic.owners[partition] = to;
  sizes[to]!++;
}

/** Goes round the topics until nothing has moved for a whole round. */
function balance(topics: readonly Topic[], balancer: Balancer, sizes: Int32Array): void {
  let last = -1;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    for (let i = 0; i < topics.length; i++) {
      if (i === last) return;
      const moved = balanceTopic(topics[i]!, balancer, sizes);
      if (moved > 0 || last === -1) last = i;
    }
  }
}

/** Moves partitions of one topic from those who have most to those who have least; gives the number that moved. */
function balanceTopic(topic: Topic, balancer: Balancer, sizes: Int32Array): number {
  if (balancer.begin(topic.subscribers) <= 1) return 0;
  const owned = new Map<number, number[]>();
  topic.owners.forEach((owner, partition) => {
    const partitions = owned.get(owner);
    if (partitions === undefined) owned.set(owner, [partition]);
    else partitions.push(partition);
  });
  let moved = 0;
  while (!balancer.isBalanced) {
    const from = nextWithPartitions(balancer, owned);
    if (from === NOBODY) break;
    const partition = owned.get(from)!.pop()!;
    const to = balancer.nextLeastLoaded();
    if (balancer.isBalanced) break;
    give(topic, partition, to, sizes);
    moved++;
  }
  return moved;
}

/** The most loaded member that has a partition of the topic to give. */
function nextWithPartitions(balancer: Balancer, owned: ReadonlyMap<number, readonly number[]>): number {
  for (;;) {
    const member = balancer.nextMostLoaded();
    if (member === NOBODY || (owned.get(member)?.length ?? 0) > 0) return member;
    balancer.excludeMostLoaded();
  }
}

function resultOf(group: AssignorGroup, topics: ReadonlyMap<string, Topic>): TargetAssignment {
  const byMember = group.members.map(() => new Map<string, number[]>());
  for (const { id, owners } of topics.values()) {
    owners.forEach((owner, partition) => {
      const assignment = byMember[owner]!;
      const partitions = assignment.get(id);
      if (partitions === undefined) assignment.set(id, [partition]);
      else partitions.push(partition);
    });
  }
  return new Map(group.members.map(({ memberId }, i): [string, Assignment] => [memberId, byMember[i]!]));
}
