/**
 * The configs of topics, brokers, groups and subscriptions as CreateTopics and DescribeConfigs tell them: the value, every place that
 * sets it, the one that counts first. Source: ConfigHelper, ConfigHelperUtils, KafkaConfigSchema.
 */
import { type BrokerConfig, brokerConfig, brokerConfigs } from "../config/broker-configs.ts";
import { brokerConfigOf, brokerDefault, brokerSynonyms, optionOf } from "../config/broker-values.ts";
import { clientMetricsOptions } from "../config/client-metrics-configs.ts";
import { type ConfigType, parseType } from "../config/config-def.ts";
import { groupDefaultText, groupOptions, isGroupOptionListed } from "../config/group-configs.ts";
import type { ServerConfig } from "../config/server-options.ts";
import { type TopicOption, topicConfigText, topicOptions } from "../config/topic-options.ts";
import type { BrokerLayers } from "./live-config.ts";

/** Where a value comes from. Source: DescribeConfigsResponse.ConfigSource. */
export const ConfigSource = {
  TOPIC_CONFIG: 1,
  DYNAMIC_BROKER_CONFIG: 2,
  DYNAMIC_DEFAULT_BROKER_CONFIG: 3,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
  DYNAMIC_BROKER_LOGGER_CONFIG: 6,
  CLIENT_METRICS_CONFIG: 7,
  GROUP_CONFIG: 8,
} as const;

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string | null;
  readonly source: number;
}

export interface ConfigEntry {
  readonly name: string;
  /** Null when it is not set, and always when it is sensitive. */
  readonly value: string | null;
  readonly source: number;
  readonly readOnly: boolean;
  readonly isSensitive: boolean;
  /** Every place that sets it, the one that counts first. */
  readonly synonyms: readonly ConfigSynonym[];
  /** Null for a name that Kafka does not know. */
  readonly type: ConfigType | null;
  readonly doc: string | null;
}

type Texts = ReadonlyMap<string, string>;

/** Every config of a topic whose own ones are `configs`, in the order of Kafka's table. */
export const describeTopicConfigs = (configs: Texts, server: ServerConfig, layers: BrokerLayers): ConfigEntry[] =>
  topicOptions
    .filter((option) => !option.internal || configs.has(option.name))
    .map((option) => topicEntry(option, configs, server, layers));

function topicEntry(option: TopicOption<unknown>, configs: Texts, server: ServerConfig, layers: BrokerLayers): ConfigEntry {
  const { name, serverName, type, doc } = option;
  const value = topicConfigText(option, configs, server);
  const own = configs.has(name) ? [{ name, value, source: ConfigSource.TOPIC_CONFIG }] : [];
  const synonyms = [...own, ...(serverName === null ? [] : brokerSynonymsOf(serverName, layers, false))];
  return { name, value, type, doc, readOnly: false, isSensitive: false, synonyms, source: sourceOf(synonyms) };
}

/** Everything that this broker is configured with. */
export function describeBroker(layers: BrokerLayers): ConfigEntry[] {
  const known = brokerConfigs.filter(({ name, internal }) => !internal || isSet(name, layers)).map((config) => config.name);
  const others = [layers.own, layers.clusterWide, layers.statics].flatMap((texts) => [...texts.keys()]);
  const names = new Set([...known, ...others]);
  return [...names].map((name) => brokerEntry(name, layers));
}

/** What is set for all brokers while they run. */
export const describeAllBrokers = (layers: BrokerLayers): ConfigEntry[] =>
  [...layers.clusterWide].map(([name, text]) => {
    const entry = brokerEntry(name, layers);
    const synonyms = entry.synonyms.filter(({ source }) => source === ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG);
    return { ...entry, value: entry.isSensitive ? null : text, synonyms, source: sourceOf(synonyms) };
  });

const isSet = (name: string, { own, clusterWide, statics }: BrokerLayers): boolean =>
  own.has(name) || clusterWide.has(name) || statics.has(name);

function brokerEntry(name: string, layers: BrokerLayers): ConfigEntry {
  const config = brokerConfigOf(name);
  // What cannot be told is kept to ourselves, to be safe.
  const isSensitive = config === undefined || config.type === "PASSWORD";
  const text = layers.own.get(name) ?? layers.clusterWide.get(name) ?? layers.statics.get(name) ?? brokerDefault(name);
  const synonyms = brokerSynonymsOf(name, layers, isSensitive);
  return {
    name,
    value: text === null || isSensitive ? null : written(brokerConfig(name), text),
    source: sourceOf(synonyms),
    readOnly: brokerConfig(name) === undefined || brokerConfig(name)!.mode === "read-only",
    isSensitive,
    synonyms,
    type: config?.type ?? null,
    doc: optionOf(name)?.doc ?? brokerConfig(name)?.doc ?? null,
  };
}

/** A known config's value as Kafka writes it; another one's text as it is. */
function written(config: BrokerConfig | undefined, text: string): string {
  const parsed = config === undefined ? text : parseType(config, text);
  return typeof parsed === "object" ? parsed.text : text;
}

/** What was found for these layers: the topics of a request ask for the same again and again. */
const found = new WeakMap<BrokerLayers, Map<string, readonly ConfigSynonym[]>>();

/** ConfigHelper.configSynonyms: all places of all names of the same, from the first that is by this very name. */
function brokerSynonymsOf(name: string, layers: BrokerLayers, isSensitive: boolean): readonly ConfigSynonym[] {
  let known = found.get(layers);
  if (known === undefined) {
    known = new Map();
    found.set(layers, known);
  }
  let synonyms = known.get(name);
  if (synonyms === undefined) {
    synonyms = findSynonyms(name, layers, isSensitive);
    known.set(name, synonyms);
  }
  return synonyms;
}

function findSynonyms(name: string, layers: BrokerLayers, isSensitive: boolean): ConfigSynonym[] {
  const names = brokerSynonyms(name);
  const of = (source: number, textOf: (name: string) => string | null | undefined): ConfigSynonym[] =>
    names.flatMap((each) => {
      const value = textOf(each);
      return value === null || value === undefined ? [] : [{ name: each, value: isSensitive ? null : value, source }];
    });
  const synonyms = [
    ...of(ConfigSource.DYNAMIC_BROKER_CONFIG, (each) => layers.own.get(each)),
    ...of(ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, (each) => layers.clusterWide.get(each)),
    ...of(ConfigSource.STATIC_BROKER_CONFIG, (each) => layers.statics.get(each)),
    ...of(ConfigSource.DEFAULT_CONFIG, brokerDefault),
  ];
  const first = synonyms.findIndex((synonym) => synonym.name === name);
  return first < 0 ? [] : synonyms.slice(first);
}

const sourceOf = (synonyms: readonly ConfigSynonym[]): number => synonyms[0]?.source ?? ConfigSource.DEFAULT_CONFIG;

/** Every config of a group, whether there is such a group or not. */
export const describeGroup = (configs: Texts, server: ServerConfig, layers: BrokerLayers): ConfigEntry[] =>
  groupOptions
    .filter((option) => isGroupOptionListed(option, configs, server))
    .map((option) => {
      const { name, type, doc, serverName, default: byDefault } = option;
      const text = configs.get(name);
      const parsed = text === undefined ? undefined : parseType(option, text);
      const value = typeof parsed === "object" ? parsed.text : groupDefaultText(option, server);
      const ofServer = serverName === null ? [] : brokerSynonymsOf(serverName, layers, false);
      const builtIn =
        serverName !== null || byDefault === null ? [] : [{ name, value: byDefault, source: ConfigSource.DEFAULT_CONFIG }];
      const own = text === undefined ? [] : [{ name, value, source: ConfigSource.GROUP_CONFIG }];
      const synonyms = [...own, ...ofServer, ...builtIn];
      return { name, value, type, doc, readOnly: false, isSensitive: false, synonyms, source: sourceOf(synonyms) };
    });

/** Every config of a client-metrics subscription, whether there is such a one or not. */
export const describeClientMetrics = (configs: Texts): ConfigEntry[] =>
  clientMetricsOptions.map((option) => {
    const { name, type, doc } = option;
    const text = configs.get(name);
    const parsed = text === undefined ? undefined : parseType(option, text);
    const value = typeof parsed === "object" ? parsed.text : option.default;
    const synonyms = text === undefined ? [] : [{ name, value, source: ConfigSource.CLIENT_METRICS_CONFIG }];
    return { name, value, type, doc, readOnly: false, isSensitive: false, synonyms, source: sourceOf(synonyms) };
  });
