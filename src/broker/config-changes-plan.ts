/**
 * What a change of configs makes of those that there are, and whether a resource may have the outcome: Kafka's checks in Kafka's order and with
 * its messages. Pure. Source: ConfigAdminManager, ConfigurationControlManager, ControllerConfigurationValidator.
 */
import { brokerConfig } from "../config/broker-configs.ts";
import type { DynamicTexts } from "../config/broker-values.ts";
import { checkClientMetrics } from "../config/client-metrics-configs.ts";
import { checkDynamicBroker } from "../config/dynamic-broker.ts";
import { checkGroupConfigs } from "../config/group-configs.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { checkTopicConfigs, topicDefaultText, topicOption } from "../config/topic-options.ts";
import type { ConfigScope } from "../metadata/keys.ts";
import { topicNameFault } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";

/** What a change is for. */
export interface ChangedResource {
  readonly scope: "topic" | ConfigScope;
  /** The name of a topic, group or subscription; the id of a broker, or "" for all. */
  readonly name: string;
}

/** One step of an incremental change. Source: AlterConfigOp.OpType. */
export interface ConfigStep {
  readonly op: "SET" | "DELETE" | "APPEND" | "SUBTRACT";
  readonly name: string;
  /** Not looked at by DELETE. */
  readonly value: string;
}

export type Texts = ReadonlyMap<string, string>;

/** What the checks depend on. */
export interface ChangeContext {
  /** What this broker started with. */
  readonly fixed: ServerConfig;
  /** What is in effect. */
  readonly current: ServerConfig;
  readonly dynamic: DynamicTexts;
  /** Finalized feature levels. */
  readonly features: ReadonlyMap<string, number>;
}

/** No larger value fits into a KRaft record, so Kafka takes none. */
const MAX_VALUE_LENGTH = 32_767;
const MIN_ISR = "min.insync.replicas";

/** The error of a value that is too long, or null. */
export function valueLengthFault(values: Iterable<string | null>): KafkaError | null {
  for (const value of values) {
    if (value === null || value.length <= MAX_VALUE_LENGTH) continue;
    const message = `The configuration value cannot be added because it exceeds the maximum value size of ${MAX_VALUE_LENGTH} bytes.`;
    return new KafkaError("INVALID_CONFIG", message);
  }
  return null;
}

/** Takes the steps in their order. Throws a KafkaError. */
export function takeSteps(resource: ChangedResource, before: Texts, steps: readonly ConfigStep[]): Map<string, string> {
  const after = new Map(before);
  for (const { op, name, value } of steps) {
    if (op === "SET") after.set(name, value);
    else if (op === "DELETE") after.delete(name);
    else {
      const byDefault = listDefault(resource, name, op);
      after.set(name, changedList(op, parts(after.get(name) ?? byDefault), javaSplit(value)));
    }
  }
  return after;
}

function changedList(op: "APPEND" | "SUBTRACT", old: string[], values: readonly string[]): string {
  for (const value of values) {
    const at = old.indexOf(value);
    if (op === "APPEND" && at < 0) old.push(value);
    if (op === "SUBTRACT" && at >= 0) old.splice(at, 1);
  }
  return old.join(",");
}

const parts = (text: string): string[] => text.split(",").filter((part) => part !== "");

/** String.split: without the empty parts at the end. */
function javaSplit(text: string): string[] {
  const all = text.split(",");
  while (all.length > 1 && all.at(-1) === "") all.pop();
  return text === "" ? [""] : all.filter((part, at) => at > 0 || part !== "" || all.length > 1);
}

const builtIn = defaultServerConfig();

/** What a list is where it is not set. Throws when it is none. */
function listDefault({ scope }: ChangedResource, name: string, op: "APPEND" | "SUBTRACT"): string {
  if (scope === "broker") {
    const config = brokerConfig(name);
    if (config === undefined) throw new KafkaError("INVALID_CONFIG", `Unknown config name: ${name}`);
    if (config.type === "LIST") return config.default ?? "";
    throw new KafkaError("INVALID_CONFIG", `Config value ${op.toLowerCase()} is not allowed for config key: ${name}`);
  }
  const option = scope === "topic" ? topicOption(name) : undefined;
  if (option?.type === "LIST") return topicDefaultText(option, builtIn);
  throw new KafkaError("INVALID_CONFIG", `Can't ${op} to key ${name} because its type is not LIST.`);
}

/** Throws the KafkaError of what a resource must not have. */
export function checkConfigs(resource: ChangedResource, before: Texts, after: Texts, context: ChangeContext): void {
  const { scope, name } = resource;
  if (scope === "broker") checkBroker(name, after, context);
  const set = [...after].filter(([key, value]) => before.get(key) !== value);
  const tooLong = valueLengthFault(set.map(([, value]) => value));
  if (tooLong !== null) throw tooLong;
  if (scope === "broker" && (context.features.get("eligible.leader.replicas.version") ?? 0) > 0) checkMinIsr(name, before, after);
  if (scope === "topic") {
    if (name === "") throw new KafkaError("INVALID_REQUEST", "Default topic resources are not allowed.");
    const fault = topicNameFault(name);
    if (fault !== null) throw new KafkaError("INVALID_TOPIC_EXCEPTION", fault);
    refuse("INVALID_CONFIG", checkTopicConfigs(after, context.current));
  } else if (scope === "group") {
    if (name === "") throw new KafkaError("INVALID_REQUEST", "Default group resources are not allowed.");
    refuse("INVALID_CONFIG", checkGroupConfigs(after, context.current));
  } else if (scope === "client-metrics") {
    if (name === "") throw new KafkaError("INVALID_REQUEST", "Subscription name can't be empty");
    const wrong = checkClientMetrics(after);
    if (wrong !== null) throw new KafkaError(wrong.error, wrong.message);
  }
}

function checkBroker(name: string, configs: Texts, { fixed, current, dynamic }: ChangeContext): void {
  checkNodeId(name, fixed.nodeId);
  refuse("INVALID_REQUEST", checkDynamicBroker({ fixed, current, dynamic, configs, isOwn: name !== "" }));
}

/** ConfigAdminManager.validateResourceNameIsCurrentNodeId; "" is all brokers. */
function checkNodeId(name: string, nodeId: number): void {
  if (name === "") return;
  if (!/^[+-]?\d+$/.test(name)) throw new KafkaError("INVALID_REQUEST", `Node id must be an integer, but it is: ${name}`);
  if (Number(name) !== nodeId)
    throw new KafkaError("INVALID_REQUEST", `Unexpected broker id, expected ${nodeId}, but received ${name}`);
}

/** KIP-966: with eligible leader replicas, min.insync.replicas is set for all brokers, and for single topics. */
function checkMinIsr(name: string, before: Texts, after: Texts): void {
  if (before.get(MIN_ISR) === after.get(MIN_ISR)) return;
  if (name !== "") refuse("INVALID_CONFIG", `Broker-level ${MIN_ISR} cannot be altered while ELR is enabled.`);
  if (!after.has(MIN_ISR)) refuse("INVALID_CONFIG", `Cluster-level ${MIN_ISR} cannot be removed while ELR is enabled.`);
}

function refuse(error: "INVALID_CONFIG" | "INVALID_REQUEST", message: string | null): void {
  if (message !== null) throw new KafkaError(error, message);
}
