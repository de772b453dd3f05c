/** ListConfigResources: what there are configs for. Source: KafkaApis.handleListConfigResources. */
import { KafkaError } from "../protocol/errors.ts";
import { ListConfigResources } from "../protocol/messages/74-list-config-resources.ts";
import { ConfigResourceType as Type } from "./config-resources.ts";
import { handler } from "./handler.ts";

export const listConfigResources = handler<typeof ListConfigResources>({
  api: ListConfigResources,
  served: "0-1",
  handle(call) {
    const { image } = call.broker;
    const supported: number[] = call.version === 0 ? [Type.CLIENT_METRICS] : Object.values(Type);
    const asked = call.request.resourceTypes;
    const types = new Set(asked.length === 0 ? supported : asked);
    if ([...types].some((type) => !supported.includes(type))) throw new KafkaError("UNSUPPORTED_VERSION");
    const brokers = () => image.brokers().map(({ nodeId }) => String(nodeId));
    const names: readonly [number, () => readonly string[]][] = [
      [Type.GROUP, () => image.configs.names("group")],
      [Type.CLIENT_METRICS, () => image.configs.names("client-metrics")],
      [Type.BROKER_LOGGER, brokers],
      [Type.BROKER, brokers],
      [Type.TOPIC, () => [...image.topics()].map(({ name }) => name)],
    ];
    const configResources = names
      .filter(([type]) => types.has(type))
      .flatMap(([resourceType, list]) => list().map((resourceName) => ({ resourceName, resourceType })));
    call.reply({ errorCode: 0, configResources });
  },
  onError: (error) => ({ errorCode: error.code, configResources: [] }),
});
