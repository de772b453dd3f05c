/** What a topic may be called. Source: org.apache.kafka.common.internals.Topic. */

export const GROUP_METADATA_TOPIC = "__consumer_offsets";
export const TRANSACTION_STATE_TOPIC = "__transaction_state";
export const SHARE_GROUP_STATE_TOPIC = "__share_group_state";
/** Kafka's name for its metadata log and ours; no topic may be called so. */
export const CLUSTER_METADATA_TOPIC = "__cluster_metadata";

const INTERNAL_TOPICS: ReadonlySet<string> = new Set([GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC, SHARE_GROUP_STATE_TOPIC]);
const MAX_NAME_LENGTH = 249;

export const isInternalTopic = (name: string): boolean => INTERNAL_TOPICS.has(name);

/** Kafka's words for what is wrong with a name, or null. */
export function topicNameFault(name: string): string | null {
  const fault = faultOf(name);
  return fault === null ? null : `Topic name is invalid: ${fault}`;
}

function faultOf(name: string): string | null {
  if (name === "") return "the empty string is not allowed";
  if (name === ".") return "'.' is not allowed";
  if (name === "..") return "'..' is not allowed";
  if (name.length > MAX_NAME_LENGTH) return `the length of '${name}' is longer than the max allowed length ${MAX_NAME_LENGTH}`;
  if (!/^[a-zA-Z0-9._-]+$/.test(name))
    return `'${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`;
  return null;
}

/** Two topics whose names are equal in this form cannot both be: Kafka's metric names would collide. */
export const unifiedTopicName = (name: string): string => name.replaceAll(".", "_");
