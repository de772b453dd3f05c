/** The configs of a topic as CreateTopics and DescribeConfigs tell them. Source: ConfigHelper, KafkaConfigSchema. */
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { type TopicOption, topicConfigText, topicDefaultText, topicOptions } from "../config/topic-options.ts";

/** Where a value comes from. Source: DescribeConfigsResponse.ConfigSource. */
export const ConfigSource = {
  DYNAMIC_TOPIC_CONFIG: 1,
  STATIC_BROKER_CONFIG: 4,
  DEFAULT_CONFIG: 5,
} as const;

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string;
  readonly source: number;
}

export interface TopicConfigEntry {
  readonly option: TopicOption<unknown>;
  readonly name: string;
  readonly value: string;
  readonly source: number;
  /** Every place that sets it, the one that counts first. */
  readonly synonyms: readonly ConfigSynonym[];
}

/** Server-wide names that have no default of their own in Kafka, because a name in a larger unit has it; it then lists no synonym. */
const WITHOUT_DEFAULT: ReadonlySet<string> = new Set([
  "log.retention.ms",
  "log.roll.ms",
  "log.roll.jitter.ms",
  "log.flush.interval.ms",
]);

const builtIn = defaultServerConfig();

/** Every config of a topic whose own ones are `configs`, in the order of Kafka's table. */
export function describeTopicConfigs(configs: ReadonlyMap<string, string>, server: ServerConfig): TopicConfigEntry[] {
  return topicOptions
    .filter((option) => !option.internal || configs.has(option.name))
    .map((option) => entryOf(option, configs, server));
}

function entryOf(option: TopicOption<unknown>, configs: ReadonlyMap<string, string>, server: ServerConfig): TopicConfigEntry {
  const { name, serverName } = option;
  const value = topicConfigText(option, configs, server);
  const synonyms: ConfigSynonym[] = [];
  if (configs.has(name)) synonyms.push({ name, value, source: ConfigSource.DYNAMIC_TOPIC_CONFIG });
  if (serverName !== null) {
    const [ours, usual] = [topicDefaultText(option, server), topicDefaultText(option, builtIn)];
    if (ours !== usual) synonyms.push({ name: serverName, value: ours, source: ConfigSource.STATIC_BROKER_CONFIG });
    if (!WITHOUT_DEFAULT.has(serverName)) synonyms.push({ name: serverName, value: usual, source: ConfigSource.DEFAULT_CONFIG });
  }
  return { option, name, value, source: synonyms[0]?.source ?? ConfigSource.DEFAULT_CONFIG, synonyms };
}
