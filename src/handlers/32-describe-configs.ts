/**
 * DescribeConfigs: what topics, brokers, loggers, groups and client-metrics subscriptions are configured with, and where each value comes
 * from. Source: ConfigHelper.
 */

import type { Broker } from "../broker/broker.ts";
import {
  type ConfigEntry,
  ConfigSource,
  describeAllBrokers,
  describeBroker,
  describeClientMetrics,
  describeGroup,
  describeTopicConfigs,
} from "../broker/describe-configs.ts";
import type { BrokerLayers } from "../broker/live-config.ts";
import { topicNameFault } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { DescribeConfigs } from "../protocol/messages/32-describe-configs.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { ConfigResourceType as Type } from "./config-resources.ts";
import { type Call, handler } from "./handler.ts";

type DescribeCall = Call<typeof DescribeConfigs>;
type Resource = DescribeCall["request"]["resources"][number];
type Result = ResponseInput<typeof DescribeConfigs>["results"][number];

/** DescribeConfigsResponse.ConfigType; 0 is not known. */
const ConfigType = { BOOLEAN: 1, STRING: 2, INT: 3, SHORT: 4, LONG: 5, DOUBLE: 6, LIST: 7, CLASS: 8, PASSWORD: 9 } as const;

const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(Type));

export const describeConfigs = handler<typeof DescribeConfigs>({
  api: DescribeConfigs,
  served: "1-4",
  handle(call) {
    for (const { resourceType, resourceName } of call.request.resources) {
      if (KNOWN_TYPES.has(resourceType)) continue;
      throw new KafkaError("INVALID_REQUEST", `Unexpected resource type ${resourceType} for resource ${resourceName}`);
    }
    const layers = call.broker.liveConfig.layers();
    call.reply({ results: call.request.resources.map((resource) => describe(call, resource, layers)) });
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

function describe(call: DescribeCall, resource: Resource, layers: BrokerLayers): Result {
  try {
    const { configurationKeys: keys, resourceType, resourceName } = resource;
    if (resourceType === Type.TOPIC && !isKnownTopic(call.broker, resourceName))
      return { ...failure(resource, new KafkaError("UNKNOWN_TOPIC_OR_PARTITION")), errorMessage: null };
    const wanted = keys === null || keys.length === 0 ? null : new Set(keys);
    const entries = entriesOf(call.broker, resource, layers).filter(({ name }) => wanted === null || wanted.has(name));
    const configs = entries.map((entry) => answer(call, entry));
    return { errorCode: 0, errorMessage: null, resourceType, resourceName, configs };
  } catch (error) {
    if (error instanceof KafkaError) return failure(resource, error);
    throw error;
  }
}

const answer = ({ request }: DescribeCall, entry: ConfigEntry): Result["configs"][number] => ({
  name: entry.name,
  value: entry.value,
  readOnly: entry.readOnly,
  configSource: entry.source,
  isSensitive: entry.isSensitive,
  synonyms: request.includeSynonyms ? [...entry.synonyms] : [],
  configType: entry.type === null ? 0 : ConfigType[entry.type],
  documentation: request.includeDocumentation ? entry.doc : null,
});

function entriesOf(broker: Broker, { resourceType, resourceName: name }: Resource, layers: BrokerLayers): ConfigEntry[] {
  const { config, image } = broker;
  switch (resourceType) {
    case Type.TOPIC:
      return describeTopicConfigs(image.topicByName(name)!.configs, config, layers);
    case Type.BROKER:
      if (name === "") return describeAllBrokers(layers);
      checkBrokerId(broker, name, " or empty string,");
      return describeBroker(layers);
    case Type.BROKER_LOGGER:
      if (name === "") throw new KafkaError("INVALID_REQUEST", "Broker id must not be empty");
      checkBrokerId(broker, name, "");
      return [...broker.ownLogger.levels()].map(([logger, level]) => loggerEntry(logger, level));
    case Type.CLIENT_METRICS:
      if (name === "") throw new KafkaError("INVALID_REQUEST", "Client metrics subscription name must not be empty");
      return describeClientMetrics(image.configs.of("client-metrics", name).entries);
    default:
      if (name === "") throw new KafkaError("INVALID_REQUEST", "Group name must not be empty");
      return describeGroup(image.configs.group(name), config, layers);
  }
}

function isKnownTopic(broker: Broker, name: string): boolean {
  const fault = topicNameFault(name);
  if (fault !== null) throw new KafkaError("INVALID_TOPIC_EXCEPTION", fault);
  return broker.image.topicByName(name) !== undefined;
}

function checkBrokerId({ nodeId }: Broker, resourceName: string, orEmpty: string): void {
  if (!/^[+-]?\d+$/.test(resourceName)) {
    throw new KafkaError("INVALID_REQUEST", `Broker id must be an integer, but it is: ${resourceName}`);
  }
  if (Number(resourceName) !== nodeId) {
    throw new KafkaError("INVALID_REQUEST", `Unexpected broker id, expected ${nodeId}${orEmpty} but received ${resourceName}`);
  }
}

const loggerEntry = (name: string, level: string): ConfigEntry => ({
  name,
  value: level,
  readOnly: false,
  source: ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG,
  isSensitive: false,
  synonyms: [],
  type: null,
  doc: null,
});
