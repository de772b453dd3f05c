/**
 * What may be set for a broker while it runs. The checks stand in Kafka's order and have its messages; all of them are answered with
 * INVALID_REQUEST. Pure. Source: DynamicBrokerConfig.validateConfigs, KafkaConfig.validateValues, DynamicThreadPool, LogCleaner.
 */
import { brokerConfig } from "./broker-configs.ts";
import { brokerConfigOf, brokerSynonyms, brokerText, type DynamicTexts, optionOf, withDynamic } from "./broker-values.ts";
import { parseConfig } from "./config-def.ts";
import { type ServerConfig, serverRules } from "./server-options.ts";

/** Key and trust stores: settable while the broker runs for one listener only. */
const SECURITY: ReadonlySet<string> = new Set([
  "ssl.keystore.type",
  "ssl.keystore.location",
  "ssl.keystore.password",
  "ssl.key.password",
  "ssl.truststore.type",
  "ssl.truststore.location",
  "ssl.truststore.password",
  "ssl.keystore.certificate.chain",
  "ssl.keystore.key",
  "ssl.truststore.certificates",
]);
/** Per broker, although a listener may have its own. */
const CLUSTER_LEVEL_LISTENER: ReadonlySet<string> = new Set([
  "max.connections",
  "max.connection.creation.rate",
  "num.network.threads",
]);
const THREADS: readonly string[] = [
  "num.io.threads",
  "num.replica.fetchers",
  "num.recovery.threads.per.data.dir",
  "background.threads",
];
const MIB = 1024 * 1024;

export interface DynamicChange {
  /** What the broker started with. */
  readonly fixed: ServerConfig;
  /** What is in effect now. */
  readonly current: ServerConfig;
  /** What is set now, and what is to be set instead of one of the two. */
  readonly dynamic: DynamicTexts;
  readonly configs: ReadonlyMap<string, string>;
  /** Whether `configs` are those of this broker, or those of all. */
  readonly isOwn: boolean;
}

/** Null when the configs may be set, otherwise what is wrong. */
export function checkDynamicBroker(change: DynamicChange): string | null {
  const { configs, isOwn, dynamic, fixed, current } = change;
  const wrong = checkNames([...configs.keys()]) ?? checkTypes(configs);
  if (wrong !== null) return wrong;
  const perBroker = isOwn ? [] : [...configs.keys()].filter(isPerBroker);
  if (perBroker.length > 0)
    return `Cannot update these configs at default cluster level, broker id must be specified: [${perBroker.join(", ")}]`;
  const layers = isOwn ? { ...dynamic, own: configs } : { ...dynamic, clusterWide: configs };
  const next = withDynamic(fixed, layers);
  const required = checkRequirements(next);
  if (required !== null) return `requirement failed: ${required}`;
  const refused = checkChange(current, next);
  // The name and the value of Kafka's ConfigException are the wrong way round here, and clients see it.
  if (refused !== null)
    return `Invalid value org.apache.kafka.common.config.ConfigException: ${refused} for configuration Invalid dynamic configuration`;
  return checkOurs(configs, current, next);
}

function checkNames(names: readonly string[]): string | null {
  const fixed = names.filter((name) => brokerConfig(name)?.mode === "read-only");
  if (fixed.length > 0) return `Cannot update these configs dynamically: [${fixed.join(", ")}]`;
  const security = names.filter((name) => SECURITY.has(name));
  if (security.length === 0) return null;
  return `These security configs can be dynamically updated only per-listener using the listener prefix: [${security.join(", ")}]`;
}

/** Names that Kafka does not know are taken: plug-ins may have them. */
function checkTypes(configs: ReadonlyMap<string, string>): string | null {
  for (const [name, text] of configs) {
    const config = brokerConfigOf(name);
    if (config === undefined || config.mode === "read-only") continue;
    const parsed = parseConfig(config, text);
    if (typeof parsed === "string") return parsed;
  }
  return null;
}

function isPerBroker(name: string): boolean {
  if (brokerConfig(name)?.mode === "per-broker") return true;
  const [own, base] = brokerSynonyms(name);
  return own!.startsWith("listener.name.") && base !== undefined && !CLUSTER_LEVEL_LISTENER.has(base);
}

const numberOf = (config: ServerConfig, name: string): number => Number(brokerText(config, name));

/** KafkaConfig.validateValues, as far as it is about what can change. */
function checkRequirements(config: ServerConfig): string | null {
  const set = (name: string) => (config.kafka.has(name) ? Number(config.kafka.get(name)) : null);
  const [roll, jitter, retention] = [set("log.roll.ms"), set("log.roll.jitter.ms"), set("log.retention.ms")];
  if (roll !== null && roll < 1) return "log.roll.ms must be greater than or equal to 1";
  if (jitter !== null && jitter < 0) return "log.roll.jitter.ms must be greater than or equal to 0";
  if (retention === 0) return "log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
  if (!(Math.trunc(numberOf(config, "log.cleaner.dedupe.buffer.size") / numberOf(config, "log.cleaner.threads")) > MIB))
    return "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.";
  return null;
}

/** What the parts of a Kafka broker refuse to follow. */
function checkChange(before: ServerConfig, after: ServerConfig): string | null {
  for (const name of THREADS) {
    const [old, now] = [numberOf(before, name), numberOf(after, name)];
    if (old === now) continue;
    const failed = `Dynamic thread count update validation failed for ${name}=${now}`;
    if (now < Math.trunc(old / 2)) return `${failed}, value should be at least half the current value ${old}`;
    if (now > old * 2) return `${failed}, value should not be greater than double the current value ${old}`;
  }
  const [old, now] = [numberOf(before, "log.cleaner.threads"), numberOf(after, "log.cleaner.threads")];
  if (old === now) return null;
  if (now < 1) return "Log cleaner threads should be at least 1";
  if (now < Math.trunc(old / 2)) return `Log cleaner threads cannot be reduced to less than half the current value ${old}`;
  if (now > old * 2) return `Log cleaner threads cannot be increased to more than double the current value ${old}`;
  return null;
}

/** Our options may allow less than Kafka, and the listener stays where it is. */
function checkOurs(configs: ReadonlyMap<string, string>, before: ServerConfig, after: ServerConfig): string | null {
  for (const [name, text] of configs) {
    const option = optionOf(name);
    if (option === undefined) continue;
    const kafkaName = option.kafka.find((each) => each.name === name)!;
    const ours = kafkaName.read(text.trim());
    if (ours === undefined || option.kind.parse(ours) === undefined)
      return `Invalid value ${text} for configuration ${name}: must be ${kafkaName.allowed ?? option.kind.allowed}`;
  }
  if (brokerText(before, "listeners") !== brokerText(after, "listeners"))
    return "listeners cannot be changed while the broker runs: set server.bind and restart it";
  for (const rule of serverRules) {
    const broken = rule.broken(before) === null ? rule.broken(after) : null;
    if (broken !== null) return `Invalid value for configuration ${rule.fields[0]}: ${broken}`;
  }
  return null;
}
