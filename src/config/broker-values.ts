/**
 * The values that a broker's configs have: from the options, from Kafka's names in the file, and from what was set while it runs.
 * Names, synonyms and precedence are Kafka's. Source: DynamicBrokerConfig.
 */
import { type BrokerConfig, brokerConfig, brokerConfigs } from "./broker-configs.ts";
import type { KafkaName } from "./option.ts";
import { type AnyOption, allServerOptions, defaultServerConfig, type ServerConfig } from "./server-options.ts";

const optionByName = new Map<string, { readonly option: AnyOption; readonly name: KafkaName }>(
  allServerOptions.flatMap((option) => option.kafka.map((name) => [name.name, { option, name }] as const)),
);

/** The option that acts for a name of Kafka's, or undefined. */
export const optionOf = (name: string): AnyOption | undefined => optionByName.get(name)?.option;

const SYNONYMS: readonly (readonly string[])[] = [
  ["log.roll.ms", "log.roll.hours"],
  ["log.roll.jitter.ms", "log.roll.jitter.hours"],
  ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];
const LISTENER_NAME = /^listener\.name\.[^.]*\.(.*)$/;
/** Set for one mechanism of a listener: listener.name.x.scram-sha-512.sasl.jaas.config. */
const MECHANISM_CONFIGS: readonly string[] = [
  "sasl.jaas.config",
  "sasl.login.callback.handler.class",
  "sasl.login.class",
  "sasl.server.callback.handler.class",
  "connections.max.reauth.ms",
];

/** Every name that the same can be set by, the one that counts first. Source: brokerConfigSynonyms. */
export function brokerSynonyms(name: string): readonly string[] {
  if (name === "log.flush.interval.ms") return ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
  const known = SYNONYMS.find((names) => names.includes(name));
  if (known !== undefined) return known;
  const base = LISTENER_NAME.exec(name)?.[1];
  return base === undefined ? [name] : [name, MECHANISM_CONFIGS.find((config) => base.endsWith(config)) ?? base];
}

/** The config that says how a name's text is read, also for one listener only. */
export const brokerConfigOf = (name: string): BrokerConfig | undefined =>
  brokerConfig(name) ??
  brokerSynonyms(name)
    .map(brokerConfig)
    .find((config) => config !== undefined);

const builtIn = defaultServerConfig();

/** What a broker has without any setting, null for nothing: an option's default, or Kafka's. */
export const brokerDefault = (name: string): string | null => defaults.get(name) ?? null;

const defaults: ReadonlyMap<string, string | null> = new Map(brokerConfigs.map(({ name }) => [name, defaultOf(name)]));

function defaultOf(name: string): string | null {
  const config = brokerConfig(name);
  if (config === undefined || config.default === null) return null;
  const known = optionByName.get(name);
  return known === undefined || known.name.write === null ? config.default : optionText(known, builtIn);
}

/** In Kafka's notation; null when the option is not set. */
function optionText({ option, name }: { option: AnyOption; name: KafkaName }, config: ServerConfig): string | null {
  const value = config[option.field];
  return value === null || name.write === null ? null : name.write(option.kind.text(value));
}

/** The value in effect by a name of Kafka's, whatever it was set by; null for none. */
export function brokerText(config: ServerConfig, name: string): string | null {
  const known = optionByName.get(name);
  if (known !== undefined && known.name.write !== null) return optionText(known, config);
  return config.kafka.get(name) ?? brokerConfig(name)?.default ?? null;
}

/** What was set before the start, by Kafka's names: as it was written there, or as Kafka would write what our own names say. */
export function staticBrokerTexts(config: ServerConfig): ReadonlyMap<string, string> {
  const texts = new Map(config.kafka);
  for (const option of allServerOptions) {
    const [name] = option.kafka;
    if (name === undefined || option.kafka.some((each) => texts.has(each.name))) continue;
    const text = optionText({ option, name }, config);
    if (text !== null && text !== optionText({ option, name }, builtIn)) texts.set(name.name, text);
  }
  // Kafka does not start without these, so tools always see them.
  const id = String(config.nodeId);
  return new Map([...texts, ["node.id", id], ["broker.id", id], ["process.roles", "broker,controller"]]);
}

/** What is set while a broker runs: for all brokers, and for this one, which counts first. */
export interface DynamicTexts {
  readonly clusterWide: ReadonlyMap<string, string>;
  readonly own: ReadonlyMap<string, string>;
}

/** The configuration of a broker that started with `fixed`. What cannot be read is left out; it was checked when it was set. */
export function withDynamic(fixed: ServerConfig, { clusterWide, own }: DynamicTexts): ServerConfig {
  const kafka = new Map(fixed.kafka);
  const values: Record<string, unknown> = {};
  for (const [name, text] of [...clusterWide, ...own]) {
    const known = optionByName.get(name);
    const ours = known?.name.read(text.trim());
    const value = ours === undefined ? undefined : known!.option.kind.parse(ours);
    if (known !== undefined && value === undefined) continue;
    if (known !== undefined) values[known.option.field] = value;
    for (const synonym of brokerSynonyms(name)) if (!LISTENER_NAME.test(name)) kafka.delete(synonym);
    kafka.set(name, text.trim());
  }
  return { ...fixed, ...(values as Partial<ServerConfig>), kafka };
}
