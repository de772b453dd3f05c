/**
 * The configs of a group (consumer, share and streams groups of the newer protocols): every one that Kafka 4.4 has. Source: GroupConfig.
 *
 * A row's default is what the server says by the name in `server` (an option's value, or what is set by Kafka's name, or Kafka's
 * default); `min` and `max` are names of server configs, too. `acts: true` says that quarkmq does what the config asks for; it then
 * leaves the README's list of names without effect. The coordinator reads `effectiveGroupConfig(image.configs.group(id), config)`.
 */
import { brokerText, staticBrokerTexts } from "./broker-values.ts";
import {
  anything,
  atLeast,
  type Check,
  type ConfigKey,
  type ConfigType,
  invalidValue,
  oneOf,
  parseConfig,
  parseType,
  someOf,
} from "./config-def.ts";
import type { ServerConfig } from "./server-options.ts";

export interface GroupOption<T> extends ConfigKey {
  /** Kafka's default, and that of a config without a name for the whole server; null for none. */
  readonly default: string | null;
  /** The server's name for the same ("group.consumer.session.timeout.ms"), or null. */
  readonly serverName: string | null;
  /** Server configs that bound the value, or null. */
  readonly minName: string | null;
  readonly maxName: string | null;
  readonly acts: boolean;
  /** Described only when it is set. */
  readonly internal: boolean;
  readonly doc: string;
  /** Carries the value's type; never set. */
  readonly valueType?: T;
}

interface Rest {
  readonly server?: string;
  readonly min?: string;
  readonly max?: string;
  readonly acts?: boolean;
  readonly internal?: boolean;
  readonly doc: string;
}

const row =
  <T>(type: ConfigType) =>
  (name: string, byDefault: string | null, check: Check<never>, rest: Rest): GroupOption<T> => ({
    name,
    type,
    default: byDefault,
    check,
    serverName: rest.server ?? null,
    minName: rest.min ?? null,
    maxName: rest.max ?? null,
    acts: rest.acts ?? false,
    internal: rest.internal ?? false,
    doc: rest.doc,
  });
const int = row<number>("INT");
const long = row<number>("LONG");
const bool = row<boolean>("BOOLEAN");
const string = row<string>("STRING");
const stringOrNone = row<string | null>("STRING");
const list = row<readonly string[]>("LIST");

/** ISO 8601 as java.time.Duration reads it, without a negative part. */
const DURATION = /^\+?P(?=.)(\+?\d+D)?(T(?=.)(\+?\d+H)?(\+?\d+M)?(\+?\d+([.,]\d{0,9})?S)?)?$/i;
const offsetReset: Check<string> = (value, name) => {
  if (["earliest", "latest"].includes(value)) return null;
  const duration = /^by_duration:(.*)$/.exec(value)?.[1];
  if (duration !== undefined && DURATION.test(duration)) return null;
  return invalidValue(
    name,
    value,
    `Invalid value \`${value}\` for configuration ${name}. The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.`,
  );
};

/** Field of `GroupConfig` → declaration. */
const declared = {
  consumerSessionTimeoutMs: int("consumer.session.timeout.ms", "45000", atLeast(1), {
    server: "group.consumer.session.timeout.ms",
    min: "group.consumer.min.session.timeout.ms",
    max: "group.consumer.max.session.timeout.ms",
    acts: true,
    doc: "A member of a consumer group that is silent for this long is removed.",
  }),
  consumerHeartbeatIntervalMs: int("consumer.heartbeat.interval.ms", "5000", atLeast(1), {
    server: "group.consumer.heartbeat.interval.ms",
    min: "group.consumer.min.heartbeat.interval.ms",
    max: "group.consumer.max.heartbeat.interval.ms",
    acts: true,
    doc: "How often the members of a consumer group are told to send heartbeats.",
  }),
  consumerAssignmentIntervalMs: int("consumer.assignment.interval.ms", "1000", atLeast(0), {
    server: "group.consumer.assignment.interval.ms",
    min: "group.consumer.min.assignment.interval.ms",
    max: "group.consumer.max.assignment.interval.ms",
    acts: true,
    doc: "The least time between two new assignments of a consumer group.",
  }),
  consumerAssignorOffloadEnable: bool("consumer.assignor.offload.enable", "true", anything, {
    server: "group.consumer.assignor.offload.enable",
    internal: true,
    doc: "Whether assignments of a consumer group are computed in a background thread.",
  }),
  shareSessionTimeoutMs: int("share.session.timeout.ms", "45000", atLeast(1), {
    server: "group.share.session.timeout.ms",
    min: "group.share.min.session.timeout.ms",
    max: "group.share.max.session.timeout.ms",
    doc: "A member of a share group that is silent for this long is removed.",
  }),
  shareHeartbeatIntervalMs: int("share.heartbeat.interval.ms", "5000", atLeast(1), {
    server: "group.share.heartbeat.interval.ms",
    min: "group.share.min.heartbeat.interval.ms",
    max: "group.share.max.heartbeat.interval.ms",
    doc: "How often the members of a share group are told to send heartbeats.",
  }),
  shareRecordLockDurationMs: int("share.record.lock.duration.ms", "30000", atLeast(1000), {
    server: "group.share.record.lock.duration.ms",
    min: "group.share.min.record.lock.duration.ms",
    max: "group.share.max.record.lock.duration.ms",
    doc: "How long a record that was delivered to a share group is held for its consumer.",
  }),
  shareDeliveryCountLimit: int("share.delivery.count.limit", "5", atLeast(2), {
    server: "group.share.delivery.count.limit",
    min: "group.share.min.delivery.count.limit",
    max: "group.share.max.delivery.count.limit",
    doc: "How often a record is delivered to a share group at most.",
  }),
  sharePartitionMaxRecordLocks: int("share.partition.max.record.locks", "2000", atLeast(100), {
    server: "group.share.partition.max.record.locks",
    min: "group.share.min.partition.max.record.locks",
    max: "group.share.max.partition.max.record.locks",
    doc: "How many records of a partition a share group holds at a time.",
  }),
  shareAutoOffsetReset: string("share.auto.offset.reset", "latest", offsetReset, {
    doc: "Where a share group begins to read a partition: earliest, latest, or by_duration:PT1H for an hour ago.",
  }),
  shareIsolationLevel: string("share.isolation.level", "read_uncommitted", oneOf("read_committed", "read_uncommitted"), {
    doc: "Whether a share group gets records of transactions that are open or were aborted.",
  }),
  shareRenewAcknowledgeEnable: bool("share.renew.acknowledge.enable", "true", anything, {
    doc: "Whether consumers of a share group may hold a record for longer.",
  }),
  shareAssignmentIntervalMs: int("share.assignment.interval.ms", "1000", atLeast(0), {
    server: "group.share.assignment.interval.ms",
    min: "group.share.min.assignment.interval.ms",
    max: "group.share.max.assignment.interval.ms",
    doc: "The least time between two new assignments of a share group.",
  }),
  shareAssignorOffloadEnable: bool("share.assignor.offload.enable", "true", anything, {
    server: "group.share.assignor.offload.enable",
    internal: true,
    doc: "Whether assignments of a share group are computed in a background thread.",
  }),
  streamsSessionTimeoutMs: int("streams.session.timeout.ms", "45000", atLeast(1), {
    server: "group.streams.session.timeout.ms",
    min: "group.streams.min.session.timeout.ms",
    max: "group.streams.max.session.timeout.ms",
    doc: "A member of a streams group that is silent for this long is removed.",
  }),
  streamsHeartbeatIntervalMs: int("streams.heartbeat.interval.ms", "5000", atLeast(1), {
    server: "group.streams.heartbeat.interval.ms",
    min: "group.streams.min.heartbeat.interval.ms",
    max: "group.streams.max.heartbeat.interval.ms",
    doc: "How often the members of a streams group are told to send heartbeats.",
  }),
  streamsNumStandbyReplicas: int("streams.num.standby.replicas", "0", atLeast(0), {
    server: "group.streams.num.standby.replicas",
    max: "group.streams.max.standby.replicas",
    doc: "Standby copies of each task of a streams group.",
  }),
  streamsInitialRebalanceDelayMs: int("streams.initial.rebalance.delay.ms", "3000", atLeast(0), {
    server: "group.streams.initial.rebalance.delay.ms",
    doc: "How long a new streams group waits for more members.",
  }),
  streamsAssignmentIntervalMs: int("streams.assignment.interval.ms", "1000", atLeast(0), {
    server: "group.streams.assignment.interval.ms",
    min: "group.streams.min.assignment.interval.ms",
    max: "group.streams.max.assignment.interval.ms",
    doc: "The least time between two new assignments of a streams group.",
  }),
  streamsAssignorOffloadEnable: bool("streams.assignor.offload.enable", "true", anything, {
    server: "group.streams.assignor.offload.enable",
    internal: true,
    doc: "Whether assignments of a streams group are computed in a background thread.",
  }),
  streamsTaskOffsetIntervalMs: int("streams.task.offset.interval.ms", "60000", atLeast(1), {
    server: "group.streams.task.offset.interval.ms",
    min: "group.streams.min.task.offset.interval.ms",
    internal: true,
    doc: "How often members of a streams group tell how far their warm-up tasks are.",
  }),
  streamsNumWarmupReplicas: int("streams.num.warmup.replicas", "2", atLeast(0), {
    server: "group.streams.num.warmup.replicas",
    max: "group.streams.max.warmup.replicas",
    internal: true,
    doc: "How many warm-up tasks a streams group has at most.",
  }),
  streamsRackAwareAssignmentTags: list("streams.rack.aware.assignment.tags", "", someOf([]), {
    server: "group.streams.rack.aware.assignment.tags",
    doc: "Client tags over which the standby tasks of a streams group are spread.",
  }),
  streamsAcceptableRecoveryLag: long("streams.acceptable.recovery.lag", "10000", atLeast(0), {
    server: "group.streams.acceptable.recovery.lag",
    internal: true,
    doc: "How far behind a client of a streams group may be to get an active task.",
  }),
  streamsAssignorName: stringOrNone("streams.assignor.name", null, anything, {
    server: "group.streams.assignors",
    doc: "The assignor of a streams group: one of group.streams.assignors.",
  }),
  errorsDeadletterqueueTopicName: string("errors.deadletterqueue.topic.name", "", anything, {
    doc: "The topic for records that a share group could not deliver; empty for none.",
  }),
  errorsDeadletterqueueCopyRecordEnable: bool("errors.deadletterqueue.copy.record.enable", "false", anything, {
    doc: "Whether that topic gets the records themselves, or only where they are.",
  }),
};

type ValueOf<O> = O extends GroupOption<infer T> ? T : never;

/** The effective configs of one group: flat, units last in the names. */
export type GroupConfigs = { readonly [K in keyof typeof declared]: ValueOf<(typeof declared)[K]> };

/** Every config of a group, in Kafka's order. */
export const groupOptions: readonly GroupOption<unknown>[] = Object.values(declared);
const optionByName = new Map(groupOptions.map((option) => [option.name, option]));

/** As Kafka checks bounds: the heartbeat interval of a kind of group before its session timeout. */
const inOrderOfBounds = groupOptions.map((option, at) => {
  if (option.name.endsWith(".session.timeout.ms")) return groupOptions[at + 1]!;
  return option.name.endsWith(".heartbeat.interval.ms") ? groupOptions[at - 1]! : option;
});

/** The config of this name, or undefined when Kafka has none. */
export const groupOption = (name: string): GroupOption<unknown> | undefined => optionByName.get(name);

/** What a group has that does not set the config, as text; null for none. */
export function groupDefaultText({ serverName, default: byDefault }: GroupOption<unknown>, config: ServerConfig): string | null {
  if (serverName === null) return byDefault;
  const text = brokerText(config, serverName);
  // A list of assignors, of which the first is the default.
  return serverName === "group.streams.assignors" ? (text?.split(",")[0]?.trim() ?? null) : text;
}

/** Whether DescribeConfigs lists it: internal ones only when somebody set them. Source: AbstractKafkaConfig.extractGroupConfigMap. */
export const isGroupOptionListed = (
  option: GroupOption<unknown>,
  set: ReadonlyMap<string, string>,
  config: ServerConfig,
): boolean =>
  !option.internal || set.has(option.name) || (option.serverName !== null && staticBrokerTexts(config).has(option.serverName));

const boundOf = (name: string | null, config: ServerConfig): number | null =>
  name === null ? null : Number(brokerText(config, name));

/**
 * Checks the configs that a group is to have in all. Null when they are good, otherwise the message of an INVALID_CONFIG error.
 * Source: ControllerConfigurationValidator, GroupConfig.validate.
 */
export function checkGroupConfigs(configs: ReadonlyMap<string, string>, server: ServerConfig): string | null {
  for (const name of configs.keys()) if (!optionByName.has(name)) return `Unknown group config name: ${name}`;
  const tags = (configs.get("streams.rack.aware.assignment.tags") ?? "").trim().split(/\s*,\s*/);
  if (new Set(tags).size !== tags.length) return "streams.rack.aware.assignment.tags must not contain duplicate tag keys.";
  const values = new Map<string, unknown>();
  for (const option of groupOptions) {
    const text = configs.get(option.name);
    if (text === undefined) continue;
    const parsed = parseConfig(option, text);
    if (typeof parsed === "string") return parsed;
    values.set(option.name, parsed.value);
  }
  for (const option of inOrderOfBounds) {
    const wrong = values.has(option.name) ? boundFault(option, values.get(option.name) as number, server) : null;
    if (wrong !== null) return wrong;
  }
  return checkTogether(values, server);
}

function boundFault(option: GroupOption<unknown>, value: number, server: ServerConfig): string | null {
  const [min, max] = [boundOf(option.minName, server), boundOf(option.maxName, server)];
  if (min !== null && max !== null && (value < min || value > max))
    return `${option.name} must be in the range ${min} to ${max} inclusive.`;
  if (min === null && max !== null && value > max) return `${option.name} must be less than or equal to ${max}`;
  if (min !== null && max === null && value < min) return `${option.name} must be greater than or equal to ${min}`;
  return null;
}

function checkTogether(values: ReadonlyMap<string, unknown>, server: ServerConfig): string | null {
  const assignor = values.get("streams.assignor.name");
  if (assignor !== undefined) {
    const known = (brokerText(server, "group.streams.assignors") ?? "").split(",").map((name) => name.trim());
    if (!known.includes(assignor as string))
      return `streams.assignor.name '${assignor}' is not a registered task assignor. Registered assignors are: [${known.join(", ")}].`;
  }
  for (const kind of ["consumer", "share", "streams"]) {
    const [session, heartbeat] = [`${kind}.session.timeout.ms`, `${kind}.heartbeat.interval.ms`];
    if (!values.has(session) && !values.has(heartbeat)) continue;
    const effective = (name: string) => Number(values.get(name) ?? groupDefaultText(optionByName.get(name)!, server));
    if (effective(session) <= effective(heartbeat)) return `${session} must be greater than ${heartbeat}`;
  }
  if (String(values.get("errors.deadletterqueue.topic.name") ?? "").startsWith("__"))
    return "errors.deadletterqueue.topic.name: DLQ topic name must not start with '__'";
  return null;
}

/**
 * A group's own configs over the server's, within the server's bounds as they are now: those may have changed since the configs
 * were checked. A value is read when it is asked for: heartbeats want few of them. Source: GroupConfig.evaluate.
 */
export const effectiveGroupConfig = (overrides: ReadonlyMap<string, string>, server: ServerConfig): GroupConfigs =>
  new Effective(overrides, server) as unknown as GroupConfigs;

class Effective {
  private readonly overrides: ReadonlyMap<string, string>;
  private readonly server: ServerConfig;

  constructor(overrides: ReadonlyMap<string, string>, server: ServerConfig) {
    this.overrides = overrides;
    this.server = server;
  }

  effective(option: GroupOption<unknown>): unknown {
    const own = this.overrides.get(option.name);
    const text = own ?? groupDefaultText(option, this.server);
    const parsed = text === null ? undefined : parseType(option, text);
    const value = typeof parsed === "object" ? parsed.value : null;
    return own === undefined || typeof value !== "number" ? value : clamped(option, value, this.server);
  }
}

for (const [field, option] of Object.entries(declared) as [string, GroupOption<unknown>][]) {
  Object.defineProperty(Effective.prototype, field, {
    enumerable: true,
    get(this: Effective) {
      return this.effective(option);
    },
  });
}

function clamped(option: GroupOption<unknown>, value: number, server: ServerConfig): number {
  const [min, max] = [boundOf(option.minName, server), boundOf(option.maxName, server)];
  if (min !== null && value < min) return min;
  return max !== null && value > max ? max : value;
}
