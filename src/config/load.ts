/**
 * Where a configuration comes from: built-in < file < environment < command line. Everything is read before anything is
 * refused, so that one attempt shows every fault.
 */
import { resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import type { Arguments } from "./arguments.ts";
import { type BrokerConfig, brokerConfig, brokerConfigs } from "./broker-configs.ts";
import { parseConfig } from "./config-def.ts";
import { ConfigFaults, type Fault, suggestion } from "./fault.ts";
import type { KafkaName } from "./option.ts";
import {
  type AnyOption,
  allServerOptions,
  defaultServerConfig,
  type ServerConfig,
  type ServerField,
  serverRules,
} from "./server-options.ts";

/** Used when neither -c nor QUARKMQ_CONFIG names a file; the only one that may be missing. */
export const DEFAULT_CONFIG_PATH = "config/quarkmq.toml";
/** The variable that names the file. */
export const CONFIG_PATH_VARIABLE = "QUARKMQ_CONFIG";

export interface Origin {
  readonly source: "default" | "file" | "environment" | "command line";
  /** The key, variable or flag as it was written; "" for a default. */
  readonly name: string;
}

export interface LoadedConfig {
  readonly config: ServerConfig;
  readonly origins: { readonly [K in ServerField]: Origin };
  /** The file that was read, null when there was none. */
  readonly configPath: string | null;
}

/** Reads the text of a file. Null when it is missing; throws an Error with a message for the operator when it cannot be read. */
export type ReadText = (path: string) => string | null;

const optionByKey = new Map(allServerOptions.map((option) => [option.key, option]));
const optionByVariable = new Map(allServerOptions.map((option) => [option.env, option]));
const optionByKafkaName = new Map(
  allServerOptions.flatMap((option) => option.kafka.map((name) => [name.name, { option, name }] as const)),
);
const kafkaNames = brokerConfigs.filter(({ internal }) => !internal).map(({ name }) => name);

interface Loading {
  readonly faults: Fault[];
  readonly values: Partial<Record<ServerField, unknown>>;
  readonly origins: Partial<Record<ServerField, Origin>>;
  /** What was set by Kafka's names, as written. */
  readonly kafka: Map<string, string>;
}

/** Loads the server's configuration; the data directory becomes absolute. Throws ConfigFaults with everything that is wrong. */
export function loadServerConfig(input: {
  readonly arguments: Arguments;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readText: ReadText;
}): LoadedConfig {
  const loading: Loading = { faults: [], values: {}, origins: {}, kafka: new Map() };
  const configPath = loadFile(loading, input.arguments.configPath ?? input.env[CONFIG_PATH_VARIABLE] ?? null, input.readText);
  loadEnvironment(loading, input.env);
  loadArguments(loading, input.arguments);
  const written = defaultServerConfig({ ...(loading.values as Partial<ServerConfig>), kafka: loading.kafka });
  const config = Object.freeze({ ...written, dataDir: resolve(written.dataDir) });
  checkRules(loading, config, configPath);
  if (loading.faults.length > 0) throw new ConfigFaults(loading.faults);
  const origins = Object.fromEntries(
    allServerOptions.map(({ field }) => [field, loading.origins[field] ?? { source: "default", name: "" }]),
  );
  return { config, origins: origins as LoadedConfig["origins"], configPath };
}

function loadFile(loading: Loading, named: string | null, readText: ReadText): string | null {
  const path = named ?? DEFAULT_CONFIG_PATH;
  const fault = (message: string) => loading.faults.push({ source: path, name: "", value: null, allowed: message });
  let text: string | null;
  try {
    text = readText(path);
  } catch (error) {
    fault(error instanceof Error ? error.message : String(error));
    return path;
  }
  if (text === null) {
    if (named !== null) fault("there is no such file");
    return null;
  }
  try {
    loadTable(loading, path, parse(text, { integersAsBigInt: true }));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    fault(`line ${error.line}, column ${error.column}: ${error.message.split("\n")[0]!.replace("Invalid TOML document: ", "")}`);
  }
  return path;
}

/** Two levels: `[log] segment_bytes = …`; and the table [kafka], where dots in names may be TOML's own or quoted. */
function loadTable(loading: Loading, path: string, document: Record<string, unknown>): void {
  const sections = new Set(allServerOptions.map((option) => option.key.split(".")[0]!));
  const written = new Map<AnyOption, string>();
  const isFirst = (option: AnyOption, name: string, value: unknown): boolean => {
    const earlier = written.get(option);
    written.set(option, name);
    if (earlier !== undefined)
      loading.faults.push({ source: path, name, value: shown(value), allowed: `sets the same as ${earlier}` });
    return earlier === undefined;
  };
  for (const [key, value] of leaves(document)) {
    const [section] = key;
    const name = key.join(".");
    const where = { source: path, name, value: shown(value) };
    const origin: Origin = { source: "file", name };
    if (section === "kafka" && key.length > 1) {
      const kafkaName = key.slice(1).join(".");
      const known = optionByKafkaName.get(kafkaName);
      if (known !== undefined && !isFirst(known.option, name, value)) continue;
      const text = kafkaTomlText(value);
      if (text === undefined) loading.faults.push({ ...where, allowed: "must be a text, a number, true or false" });
      else if (!acceptKafka(loading, kafkaName, text, origin, where)) unknownName(loading, where, kafkaNames, "kafka.");
      continue;
    }
    const option = key.length === 2 ? optionByKey.get(name) : undefined;
    if (option !== undefined) {
      if (isFirst(option, name, value)) accept(loading, option, origin, where, option.kind.fromToml(value), option.kind.allowed);
    } else if (key.length === 1 && (sections.has(name) || name === "kafka")) {
      if (!isTable(value)) loading.faults.push({ ...where, allowed: `must be a table: [${name}]` });
    } else if (brokerConfig(name) !== undefined) loading.faults.push({ ...where, allowed: "Kafka's names go below [kafka]" });
    else unknownName(loading, where, [...optionByKey.keys(), ...sections], "");
  }
}

/** Every value with its path; of tables only the empty ones. */
function* leaves(table: Record<string, unknown>, path: readonly string[] = []): Generator<[string[], unknown]> {
  for (const [key, value] of Object.entries(table)) {
    if (isTable(value) && Object.keys(value).length > 0) yield* leaves(value, [...path, key]);
    else yield [[...path, key], value];
  }
}

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);

function unknownName(loading: Loading, where: Omit<Fault, "allowed">, known: Iterable<string>, prefix: string): void {
  const close = suggestion(where.name.slice(prefix.length), known).replace("did you mean ", `did you mean ${prefix}`);
  loading.faults.push({ ...where, allowed: `unknown key${close}` });
}

/** Kafka's properties are text; in TOML they may be text or typed. */
function kafkaTomlText(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  return typeof value === "string" || typeof value === "bigint" || typeof value === "boolean" ? String(value) : undefined;
}

/** Takes a setting by Kafka's name; false when Kafka has none of that name. */
function acceptKafka(loading: Loading, name: string, written: string, origin: Origin, where: Omit<Fault, "allowed">): boolean {
  const text = written.trim();
  const known = optionByKafkaName.get(name);
  if (known !== undefined) {
    const { option } = known;
    const ours = known.name.read(text);
    const value = ours === undefined ? undefined : option.kind.parse(ours);
    accept(loading, option, origin, where, value, allowedFor(option, known.name));
    if (value !== undefined) loading.kafka.set(name, text);
    return true;
  }
  const config = brokerConfig(name);
  if (config === undefined) return false;
  keepKafka(loading, config, text, where);
  return true;
}

/** What no option has: checked as Kafka does, and kept. */
function keepKafka(loading: Loading, config: BrokerConfig, text: string, where: Omit<Fault, "allowed">): void {
  const parsed = parseConfig(config, text);
  if (typeof parsed === "string") loading.faults.push({ ...where, allowed: parsed });
  else loading.kafka.set(config.name, text);
}

const allowedFor = (option: AnyOption, name: KafkaName): string =>
  name.allowed === undefined ? option.kind.allowed : `${name.allowed}; ${option.key} takes ${option.kind.allowed}`;

function loadEnvironment(loading: Loading, env: Readonly<Record<string, string | undefined>>): void {
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("QUARKMQ_") || variable === CONFIG_PATH_VARIABLE || text === undefined) continue;
    const option = optionByVariable.get(variable);
    const where = { source: "environment", name: variable, value: text };
    if (option !== undefined)
      accept(loading, option, { source: "environment", name: variable }, where, option.kind.parse(text), option.kind.allowed);
    else if (!isServiceLink(variable, text))
      loading.faults.push({
        ...where,
        allowed: `unknown variable${suggestion(variable, [...optionByVariable.keys(), CONFIG_PATH_VARIABLE])}`,
      });
  }
}

/** Kubernetes and Docker links put variables of this shape into every container beside a service that is called quarkmq. */
function isServiceLink(variable: string, text: string): boolean {
  if (/_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$/.test(variable)) return true;
  if (/_PORT$/.test(variable)) return /^(tcp|udp|sctp):\/\//.test(text);
  return /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(variable);
}

function loadArguments(loading: Loading, given: Arguments): void {
  const source = "command line";
  for (const fault of given.faults)
    loading.faults.push({ source, name: fault.written, value: fault.value, allowed: fault.allowed });
  for (const flag of given.given) {
    const option = flag.option ?? optionByKey.get(flag.name);
    const origin: Origin = { source, name: flag.written };
    const where = { source, name: flag.written, value: flag.text };
    if (option !== undefined) accept(loading, option, origin, where, option.kind.parse(flag.text), option.kind.allowed);
    else if (!acceptKafka(loading, flag.name, flag.text, origin, where)) {
      const close = suggestion(flag.name, [...optionByKey.keys(), ...kafkaNames]);
      loading.faults.push({ ...where, allowed: `unknown name${close}` });
    }
  }
}

function accept(
  loading: Loading,
  option: AnyOption,
  origin: Origin,
  where: Omit<Fault, "allowed">,
  value: unknown,
  allowed: string,
): void {
  if (value === undefined) {
    loading.faults.push({ ...where, value: where.value === "" ? '""' : where.value, allowed: `must be ${allowed}` });
    return;
  }
  for (const { name } of option.kafka) loading.kafka.delete(name); // by another name, and earlier
  loading.values[option.field] = value;
  loading.origins[option.field] = origin;
}

/** Rules between options are checked where one of the options was set; the fault names what was written last. */
function checkRules(loading: Loading, config: ServerConfig, configPath: string | null): void {
  for (const rule of serverRules) {
    const broken = rule.broken(config);
    if (broken === null) continue;
    const [field] = rule.fields;
    const option = allServerOptions.find((each) => each.field === field)!;
    const at = rule.fields.map((each) => loading.origins[each]).findLast((origin) => origin !== undefined);
    const source =
      at === undefined || at.source === "default" ? "built-in" : at.source === "file" ? (configPath ?? "file") : at.source;
    loading.faults.push({ source, name: option.key, value: option.kind.text(config[field!]), allowed: broken });
  }
}

/** A TOML value for a person, as it stands in the file as far as that is known. */
function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint" || typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `[${value.map(shown).join(", ")}]`;
  return value instanceof Date ? value.toISOString() : "{}";
}
