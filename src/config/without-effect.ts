/** The names that are accepted and kept, and have no effect: for the README, which a test holds against this. */
import { brokerConfig, brokerConfigs } from "./broker-configs.ts";
import { clientMetricsOptions } from "./client-metrics-configs.ts";
import { groupOptions } from "./group-configs.ts";
import { actsByKafkaName, type ServerConfig } from "./server-options.ts";
import { topicOptions } from "./topic-options.ts";

/** The broker's names for what topics have that do not say. */
const defaultsOfTopics: ReadonlySet<string | null> = new Set(
  topicOptions.filter((option) => option.acts).map(({ serverName }) => serverName),
);
const acts = (name: string): boolean => actsByKafkaName(name) || defaultsOfTopics.has(name);

/** What was set before the start by names of Kafka's that have no effect here; passwords are not shown. */
export const keptWithoutEffect = ({ kafka }: ServerConfig): (readonly [name: string, text: string])[] =>
  [...kafka]
    .filter(([name]) => !acts(name))
    .map(([name, text]) => [name, brokerConfig(name)?.type === "PASSWORD" ? "[hidden]" : text]);

/** Names of Kafka's configs that quarkmq does nothing for, by what they are configs of. */
export function configsWithoutEffect(): { readonly of: string; readonly names: readonly string[] }[] {
  const listed = (configs: readonly { name: string; internal: boolean }[], acts: (name: string) => boolean) =>
    configs.filter(({ name, internal }) => !internal && !acts(name)).map(({ name }) => name);
  const actsIn = (configs: readonly { name: string; acts: boolean }[]) => {
    const acting = new Set(configs.filter(({ acts }) => acts).map(({ name }) => name));
    return (name: string) => acting.has(name);
  };
  return [
    { of: "a topic", names: listed(topicOptions, actsIn(topicOptions)) },
    { of: "a group", names: listed(groupOptions, actsIn(groupOptions)) },
    { of: "the broker", names: listed(brokerConfigs, acts) },
    { of: "a client-metrics subscription", names: clientMetricsOptions.map(({ name }) => name) },
  ];
}
