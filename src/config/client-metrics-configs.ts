/** The configs of a client-metrics subscription (KIP-714): kept and described; quarkmq collects no metrics of clients. Source: ClientMetricsConfigs. */
import { anything, type ConfigKey, parseConfig, someOf } from "./config-def.ts";

export interface ClientMetricsOption extends ConfigKey {
  readonly default: string;
  readonly doc: string;
}

/** Every config of a subscription, in Kafka's order. */
export const clientMetricsOptions: readonly ClientMetricsOption[] = [
  {
    name: "metrics",
    type: "LIST",
    default: "",
    check: someOf([]),
    doc: "Prefixes of the names of the metrics that clients send.",
  },
  {
    name: "interval.ms",
    type: "INT",
    default: "300000",
    check: anything,
    doc: "How often clients send metrics, in milliseconds.",
  },
  {
    name: "match",
    type: "LIST",
    default: "",
    check: someOf([]),
    doc: "Which clients are meant: pairs of what is matched, and a pattern.",
  },
];

const optionByName = new Map(clientMetricsOptions.map((option) => [option.name, option]));

/** The config of this name, or undefined when Kafka has none. */
export const clientMetricsOption = (name: string): ClientMetricsOption | undefined => optionByName.get(name);

const MATCHED: ReadonlySet<string> = new Set([
  "client_instance_id",
  "client_id",
  "client_software_name",
  "client_software_version",
  "client_source_address",
  "client_source_port",
]);

/** What is wrong with the configs that a subscription is to have in all, and whether Kafka says INVALID_CONFIG or INVALID_REQUEST; null when they are good. */
export function checkClientMetrics(
  configs: ReadonlyMap<string, string>,
): { readonly error: "INVALID_CONFIG" | "INVALID_REQUEST"; readonly message: string } | null {
  for (const name of configs.keys())
    if (!optionByName.has(name)) return { error: "INVALID_REQUEST", message: `Unknown client metrics configuration: ${name}` };
  const values = new Map<string, unknown>();
  for (const option of clientMetricsOptions) {
    const text = configs.get(option.name);
    const parsed = text === undefined ? undefined : parseConfig(option, text);
    if (typeof parsed === "string") return { error: "INVALID_CONFIG", message: parsed };
    if (parsed !== undefined) values.set(option.name, parsed.value);
  }
  const interval = values.get("interval.ms") as number | undefined;
  if (interval !== undefined && (interval < 100 || interval > 3_600_000)) {
    const message = `Invalid value ${interval} for interval.ms, interval must be between 100 and 3600000 (1 hour)`;
    return { error: "INVALID_REQUEST", message };
  }
  const wrong = ((values.get("match") ?? []) as string[]).find((pattern) => !isPattern(pattern));
  return wrong === undefined ? null : { error: "INVALID_CONFIG", message: `Illegal client matching pattern: ${wrong}` };
}

/** "client_id=a.*". Java's regular expressions and ours differ little; what ours refuse is refused. */
function isPattern(pattern: string): boolean {
  const pair = pattern.replace(/=+$/, "").split("=");
  if (pair.length !== 2 || !MATCHED.has(pair[0]!.trim())) return false;
  try {
    new RegExp(pair[1]!.trim());
    return true;
  } catch {
    return false;
  }
}
