/**
 * The keys of the metadata store:
 *
 *   cluster                 the cluster's id and the format of all this
 *   features                finalized feature levels
 *   topics/<uuid>           one topic with its partitions, in one value
 *   names/<unified name>    which topic has a name, "." written as "_": made with the topic, so that a name and Kafka's collisions
 *                           of names are settled by one guard
 *   config/topic/<uuid>     what was set for a topic; no key when nothing was
 *   config/broker/<id>      the same for a broker, and for all brokers with an empty id
 *   config/group/<id>, config/client-metrics/<name>
 *                           the same for a group, and for a subscription of client metrics
 *   pidblock                the first producer id that no broker has
 *   incarnation/<node id>   how often a broker has started
 *   brokers/<node id>       a broker that is alive, for as long as its session is
 *
 * Any other key was written by a newer quarkmq, and this one does not go on without knowing what it says.
 */
import { unifiedTopicName } from "./topic-name.ts";

/** What configs can be set for, besides topics. */
export const CONFIG_SCOPES = ["broker", "group", "client-metrics"] as const;
export type ConfigScope = (typeof CONFIG_SCOPES)[number];

export const CLUSTER_KEY = "cluster";
export const FEATURES_KEY = "features";
export const PRODUCER_ID_BLOCK_KEY = "pidblock";
export const INCARNATION_PREFIX = "incarnation/";
export const BROKER_PREFIX = "brokers/";
export const TOPIC_PREFIX = "topics/";
const NAME_PREFIX = "names/";
const TOPIC_CONFIG_PREFIX = "config/topic/";
const CONFIG_PREFIX = "config/";

export const topicKey = (id: string): string => TOPIC_PREFIX + id;
export const topicNameKey = (name: string): string => NAME_PREFIX + unifiedTopicName(name);
export const topicConfigKey = (id: string): string => TOPIC_CONFIG_PREFIX + id;
/** Of a broker ("" for all), a group or a subscription. */
export const resourceConfigKey = (scope: ConfigScope, name: string): string => `${CONFIG_PREFIX}${scope}/${name}`;
export const brokerKey = (nodeId: number): string => `${BROKER_PREFIX}${nodeId}`;
export const incarnationKey = (nodeId: number): string => `${INCARNATION_PREFIX}${nodeId}`;

/** Something in the store that this version does not understand. The message is for the operator. */
export class NewerMetadata extends Error {
  override name = "NewerMetadata";
  constructor(what: string) {
    super(`${what}: the metadata was written by a newer quarkmq; start that version or a newer one`);
  }
}

/** What a key names, as far as the image is concerned: "other" keys are read by those who write them. */
export type KeyKind = "cluster" | "features" | "topic" | "topicConfig" | "broker" | "other";
export type ParsedKey =
  | { readonly kind: KeyKind; readonly id: string }
  | { readonly kind: "resourceConfig"; readonly scope: ConfigScope; readonly id: string };

/** Throws NewerMetadata for a key that is none of ours. */
export function parseKey(key: string): ParsedKey {
  if (key === CLUSTER_KEY) return { kind: "cluster", id: "" };
  if (key === FEATURES_KEY) return { kind: "features", id: "" };
  if (key.startsWith(TOPIC_PREFIX)) return { kind: "topic", id: key.slice(TOPIC_PREFIX.length) };
  if (key.startsWith(TOPIC_CONFIG_PREFIX)) return { kind: "topicConfig", id: key.slice(TOPIC_CONFIG_PREFIX.length) };
  for (const scope of CONFIG_SCOPES) {
    const prefix = resourceConfigKey(scope, "");
    if (key.startsWith(prefix)) return { kind: "resourceConfig", scope, id: key.slice(prefix.length) };
  }
  if (key.startsWith(BROKER_PREFIX)) return { kind: "broker", id: key.slice(BROKER_PREFIX.length) };
  if (key === PRODUCER_ID_BLOCK_KEY || key.startsWith(NAME_PREFIX) || key.startsWith(INCARNATION_PREFIX))
    return { kind: "other", id: "" };
  throw new NewerMetadata(`unknown metadata key ${key}`);
}
