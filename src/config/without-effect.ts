/** The names that are accepted and kept, and have no effect: for the README, which a test holds against this. */
import { brokerConfigs } from "./broker-configs.ts";
import { actsByKafkaName } from "./server-options.ts";
import { topicOptions } from "./topic-options.ts";

/** Names of Kafka's configs that quarkmq does nothing for, by what they are configs of. */
export function configsWithoutEffect(): { readonly of: string; readonly names: readonly string[] }[] {
  const listed = (configs: readonly { name: string; internal: boolean }[], acts: (name: string) => boolean) =>
    configs.filter(({ name, internal }) => !internal && !acts(name)).map(({ name }) => name);
  const actingForTopics = new Set(topicOptions.filter(({ acts }) => acts).map(({ name }) => name));
  return [
    { of: "a topic", names: listed(topicOptions, (name) => actingForTopics.has(name)) },
    { of: "the broker", names: listed(brokerConfigs, actsByKafkaName) },
  ];
}
