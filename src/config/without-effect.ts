/** The names that are accepted and kept, and have no effect: for the README, which a test holds against this. */
import { brokerConfigs } from "./broker-configs.ts";
import { clientMetricsOptions } from "./client-metrics-configs.ts";
import { groupOptions } from "./group-configs.ts";
import { actsByKafkaName } from "./server-options.ts";
import { topicOptions } from "./topic-options.ts";

/** Names of Kafka's configs that quarkmq does nothing for, by what they are configs of. */
export function configsWithoutEffect(): { readonly of: string; readonly names: readonly string[] }[] {
  const listed = (configs: readonly { name: string; internal: boolean }[], acts: (name: string) => boolean) =>
    configs.filter(({ name, internal }) => !internal && !acts(name)).map(({ name }) => name);
  const actsIn = (configs: readonly { name: string; acts: boolean }[]) => {
    const acting = new Set(configs.filter(({ acts }) => acts).map(({ name }) => name));
    return (name: string) => acting.has(name);
  };
  /** The broker's names for what topics have that do not say. */
  const defaultsOfTopics = new Set(topicOptions.filter(({ acts }) => acts).map(({ serverName }) => serverName));
  return [
    { of: "a topic", names: listed(topicOptions, actsIn(topicOptions)) },
    { of: "a group", names: listed(groupOptions, actsIn(groupOptions)) },
    { of: "the broker", names: listed(brokerConfigs, (name) => actsByKafkaName(name) || defaultsOfTopics.has(name)) },
    { of: "a client-metrics subscription", names: clientMetricsOptions.map(({ name }) => name) },
  ];
}
