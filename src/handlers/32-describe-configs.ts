/**
 * DescribeConfigs: what topics and this broker are configured with, and where each value comes from. Dynamic configs of brokers,
 * of groups and of client metrics cannot be set yet, so those that Kafka would list there are none. Source: ConfigHelper.
 */

import type { Broker } from "../broker/broker.ts";
import { ConfigSource, type ConfigSynonym, describeTopicConfigs } from "../broker/topics-configs.ts";
import { type AnyOption, allServerOptions } from "../config/server-options.ts";
import { topicNameFault } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { DescribeConfigs } from "../protocol/messages/32-describe-configs.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof DescribeConfigs>;
type Resource = DescribeCall["request"]["resources"][number];
type Result = ResponseInput<typeof DescribeConfigs>["results"][number];
type Entry = Result["configs"][number];

/** ConfigResource.Type. */
const TOPIC = 2;
const BROKER = 4;
const BROKER_LOGGER = 8;
const CLIENT_METRICS = 16;
const GROUP = 32;
const RESOURCE_TYPES: ReadonlySet<number> = new Set([TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP]);

/** ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG. */
const LOGGER_SOURCE = 6;
/** DescribeConfigsResponse.ConfigType. */
const ConfigType = { BOOLEAN: 1, STRING: 2, INT: 3, SHORT: 4, LONG: 5, DOUBLE: 6, LIST: 7, CLASS: 8, PASSWORD: 9 } as const;

export const describeConfigs = handler<typeof DescribeConfigs>({
  api: DescribeConfigs,
  served: "1-4",
  handle(call) {
    for (const { resourceType, resourceName } of call.request.resources) {
      if (RESOURCE_TYPES.has(resourceType)) continue;
      throw new KafkaError("INVALID_REQUEST", `Unexpected resource type ${resourceType} for resource ${resourceName}`);
    }
    call.reply({ results: call.request.resources.map((resource) => describe(call, resource)) });
  },
  onError: (error, call) => ({ results: call.request.resources.map((resource) => failure(resource, error)) }),
});

const failure = ({ resourceType, resourceName }: Resource, error: KafkaError): Result => ({
  errorCode: error.code,
  errorMessage: error.message,
  resourceType,
  resourceName,
  configs: [],
});

function describe(call: DescribeCall, resource: Resource): Result {
  try {
    const keys = resource.configurationKeys;
    const wanted = keys === null || keys.length === 0 ? null : new Set(keys);
    const configs = entriesOf(call, resource).filter(({ name }) => wanted === null || wanted.has(name));
    const { resourceType, resourceName } = resource;
    return { errorCode: 0, errorMessage: null, resourceType, resourceName, configs };
  } catch (error) {
    if (error instanceof KafkaError) return failure(resource, error);
    throw error;
  }
}

function entriesOf(call: DescribeCall, { resourceType, resourceName }: Resource): Entry[] {
  const { broker } = call;
  switch (resourceType) {
    case TOPIC:
      return topicEntries(call, resourceName);
    case BROKER:
      if (resourceName === "") return []; // the dynamic default of all brokers
      checkBrokerId(broker, resourceName, " or empty string,");
      return brokerOptions().map((option) => brokerEntry(call, option));
    case BROKER_LOGGER:
      if (resourceName === "") throw new KafkaError("INVALID_REQUEST", "Broker id must not be empty");
      checkBrokerId(broker, resourceName, "");
      return [loggerEntry(broker)];
    case CLIENT_METRICS:
      if (resourceName === "") throw new KafkaError("INVALID_REQUEST", "Client metrics subscription name must not be empty");
      return [];
    default:
      if (resourceName === "") throw new KafkaError("INVALID_REQUEST", "Group name must not be empty");
      return [];
  }
}

function topicEntries({ broker, request }: DescribeCall, name: string): Entry[] {
  const fault = topicNameFault(name);
  if (fault !== null) throw new KafkaError("INVALID_TOPIC_EXCEPTION", fault);
  const topic = broker.image.topicByName(name);
  if (topic === undefined) {
    throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", "This server does not host this topic-partition.");
  }
  return describeTopicConfigs(topic.configs, broker.config).map(({ option, name, value, source, synonyms }) => ({
    name,
    value,
    readOnly: false,
    configSource: source,
    isSensitive: false,
    synonyms: request.includeSynonyms ? [...synonyms] : [],
    configType: ConfigType[option.type],
    documentation: request.includeDocumentation ? option.doc : null,
  }));
}

function checkBrokerId({ nodeId }: Broker, resourceName: string, orEmpty: string): void {
  if (!/^[+-]?\d+$/.test(resourceName)) {
    throw new KafkaError("INVALID_REQUEST", `Broker id must be an integer, but it is: ${resourceName}`);
  }
  if (Number(resourceName) !== nodeId) {
    throw new KafkaError("INVALID_REQUEST", `Unexpected broker id, expected ${nodeId}${orEmpty} but received ${resourceName}`);
  }
}

/** The options that Kafka has a name for; others are quarkmq's own, and `quarkmq config` tells them. */
const brokerOptions = (): AnyOption[] => allServerOptions.filter((option) => option.kafka.length > 0);

const LISTENERS: ReadonlySet<string> = new Set(["listeners", "advertised.listeners"]);
const LISTS: ReadonlySet<string> = new Set([...LISTENERS, "log.dirs"]);
/** What Kafka counts in longs; its other numbers are ints. */
const LONGS: ReadonlySet<string> = new Set([
  "connections.max.idle.ms",
  "queued.max.request.bytes",
  "log.roll.ms",
  "log.roll.jitter.ms",
  "log.message.timestamp.before.max.ms",
  "log.message.timestamp.after.max.ms",
]);

function brokerEntry({ broker, request }: DescribeCall, option: AnyOption): Entry {
  const { name } = option.kafka[0]!;
  const value = optionText(name, option, broker.config[option.field]);
  const usual = optionText(name, option, option.default);
  const synonyms: ConfigSynonym[] = [];
  if (value !== usual && value !== null) synonyms.push({ name, value, source: ConfigSource.STATIC_BROKER_CONFIG });
  if (usual !== null) synonyms.push({ name, value: usual, source: ConfigSource.DEFAULT_CONFIG });
  return {
    name,
    value,
    readOnly: true,
    configSource: synonyms[0]?.source ?? ConfigSource.DEFAULT_CONFIG,
    isSensitive: false,
    synonyms: request.includeSynonyms ? synonyms : [],
    configType: brokerConfigType(name, option.default),
    documentation: request.includeDocumentation ? option.doc : null,
  };
}

/** In Kafka's notation; null when it is not set. */
function optionText(name: string, option: AnyOption, value: unknown): string | null {
  if (value === null) return null;
  const text = option.kind.text(value);
  return LISTENERS.has(name) ? `PLAINTEXT://${text}` : text;
}

function brokerConfigType(name: string, value: unknown): number {
  if (LISTS.has(name)) return ConfigType.LIST;
  if (typeof value === "boolean") return ConfigType.BOOLEAN;
  if (typeof value === "number") return LONGS.has(name) ? ConfigType.LONG : ConfigType.INT;
  return ConfigType.STRING;
}

/** We have one logger. */
const loggerEntry = ({ config }: Broker): Entry => ({
  name: "root",
  value: config.logLevel.toUpperCase(),
  readOnly: true,
  configSource: LOGGER_SOURCE,
  isSensitive: false,
  synonyms: [],
  configType: 0,
  documentation: null,
});
