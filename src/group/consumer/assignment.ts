/** Partitions by topic, as the new protocol gives them out: values, never changed once made. */

/** Partition numbers of a topic, ascending and without repeats, by topic id. No topic has none. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

/** Of each partition the member epoch at which it was given to its owner, by topic id and partition. No topic has none. */
export type OwnedPartitions = ReadonlyMap<string, ReadonlyMap<number, number>>;

export const NO_PARTITIONS: Assignment = new Map();
export const OWNS_NOTHING: OwnedPartitions = new Map();

/** What a request or a record lists, in order and without repeats. */
export function assignmentOf(topics: Iterable<{ readonly topicId: string; readonly partitions: readonly number[] }>): Assignment {
  const sets = new Map<string, Set<number>>();
  for (const { topicId, partitions } of topics) {
    const set = sets.get(topicId) ?? new Set<number>();
    for (const partition of partitions) set.add(partition);
    if (set.size > 0) sets.set(topicId, set);
  }
  return new Map([...sets].map(([topicId, set]) => [topicId, [...set].sort((a, b) => a - b)]));
}

/** As records and answers list it. */
export const listed = (assignment: Assignment): { topicId: string; partitions: number[] }[] =>
  [...assignment].map(([topicId, partitions]) => ({ topicId, partitions: [...partitions] }));

/** Which they are, without their epochs. */
export const partitionsOf = (owned: OwnedPartitions): Assignment =>
  new Map([...owned].map(([topicId, epochs]) => [topicId, [...epochs.keys()].sort((a, b) => a - b)]));

export function sameAssignment(a: Assignment, b: Assignment): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [topicId, partitions] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.length !== partitions.length) return false;
    for (let i = 0; i < partitions.length; i++) if (partitions[i] !== others[i]) return false;
  }
  return true;
}

export function sameOwned(a: OwnedPartitions, b: OwnedPartitions): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [topicId, epochs] of a) {
    const others = b.get(topicId);
    if (others === undefined || others.size !== epochs.size) return false;
    for (const [partition, epoch] of epochs) if (others.get(partition) !== epoch) return false;
  }
  return true;
}

export function countOf(assignment: ReadonlyMap<string, { readonly size: number } | { readonly length: number }>): number {
  let count = 0;
  for (const partitions of assignment.values()) count += "size" in partitions ? partitions.size : partitions.length;
  return count;
}
