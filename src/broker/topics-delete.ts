/** Which topics a DeleteTopics means, and what is wrong with the rest. Source: ControllerApis.deleteTopics. */
import type { MetadataImage } from "../metadata/image.ts";
import { KafkaError } from "../protocol/errors.ts";
import { ZERO_UUID } from "../protocol/schema.ts";

/** A topic as DeleteTopics names it: by its name, or by its id with a null name. */
export interface DeleteTarget {
  readonly name: string | null;
  /** ZERO_UUID for none. */
  readonly topicId: string;
}

export interface DeleteResult {
  readonly name: string | null;
  readonly topicId: string;
  /** Null: deleted. */
  readonly error: KafkaError | null;
}

export const unknownTopicId = (): KafkaError => new KafkaError("UNKNOWN_TOPIC_ID", "This server does not host this topic ID.");
const unknownTopic = (): KafkaError =>
  new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", "This server does not host this topic-partition.");

/** Splits what stands twice from what stands once. */
function once(values: readonly string[]): { single: Set<string>; twice: Set<string> } {
  const single = new Set<string>();
  const twice = new Set<string>();
  for (const value of values) {
    if (twice.has(value)) continue;
    if (!single.delete(value)) single.add(value);
    else twice.add(value);
  }
  return { single, twice };
}

/** `found`: topic id → name of the topics to delete. `results`: the answers to all else, so far. */
export function resolveTargets(
  targets: readonly DeleteTarget[],
  image: MetadataImage,
): { results: DeleteResult[]; found: Map<string, string> } {
  const results: DeleteResult[] = [];
  const refuse = (name: string | null, topicId: string, detail: string) =>
    results.push({ name, topicId, error: new KafkaError("INVALID_REQUEST", detail) });

  for (const { name, topicId } of targets) {
    if (name === null && topicId === ZERO_UUID) refuse(null, topicId, "Neither topic name nor id were specified.");
    if (name !== null && topicId !== ZERO_UUID) refuse(name, topicId, "You may not specify both topic name and topic id.");
  }
  const byName = targets.flatMap(({ name, topicId }) => (name !== null && topicId === ZERO_UUID ? [name] : []));
  const byId = targets.flatMap(({ name, topicId }) => (name === null && topicId !== ZERO_UUID ? [topicId] : []));
  const names = once(byName);
  const ids = once(byId);
  for (const name of names.twice) refuse(name, ZERO_UUID, "Duplicate topic name.");
  for (const id of ids.twice) refuse(null, id, "Duplicate topic id.");

  const found = new Map<string, string>();
  for (const id of ids.single) {
    const topic = image.topicById(id);
    if (topic === undefined) results.push({ name: null, topicId: id, error: unknownTopicId() });
    else found.set(id, topic.name);
  }
  for (const name of names.single) {
    const topic = image.topicByName(name);
    if (topic === undefined) results.push({ name, topicId: ZERO_UUID, error: unknownTopic() });
    else if (ids.twice.has(topic.id) || found.delete(topic.id)) {
      refuse(name, topic.id, "The provided topic name maps to an ID that was already supplied.");
    } else found.set(topic.id, name);
  }
  return { results, found };
}
