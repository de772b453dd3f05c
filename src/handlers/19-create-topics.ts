/** CreateTopics. What is checked and made: broker/topics.ts. Source: ControllerApis.createTopics. */
import { describeTopicConfigs } from "../broker/describe-configs.ts";
import type { BrokerLayers } from "../broker/live-config.ts";
import type { CreateResult } from "../broker/topics.ts";
import type { KafkaError } from "../protocol/errors.ts";
import { CreateTopics } from "../protocol/messages/19-create-topics.ts";
import { type ResponseInput, ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type TopicAnswer = ResponseInput<typeof CreateTopics>["topics"][number];

export const createTopics = handler<typeof CreateTopics>({
  api: CreateTopics,
  served: "2-7",
  async handle(call) {
    const { topics, validateOnly } = call.request;
    const results = await call.broker.topics.create(topics, { validateOnly });
    const layers = call.broker.liveConfig.layers();
    call.reply({ topics: results.map((result) => answer(call, result, layers)) });
  },
  onError: (error, call) => ({
    topics: call.request.topics.map(({ name }) => failure(name, error)),
  }),
});

const failure = (name: string, error: KafkaError): TopicAnswer => ({
  name,
  topicId: ZERO_UUID,
  errorCode: error.code,
  errorMessage: error.message,
  configs: [],
});

function answer(call: Call<typeof CreateTopics>, result: CreateResult, layers: BrokerLayers): TopicAnswer {
  const { name, error } = result;
  if (error !== null) return failure(name, error);
  const { id, partitions, configs } = result.topic;
  // Version 5 and later tell the configs; nobody reads them below, so they are not put together then.
  const entries = call.version < 5 ? [] : describeTopicConfigs(configs, call.broker.config, layers);
  return {
    name,
    topicId: id,
    errorCode: 0,
    errorMessage: null,
    numPartitions: partitions.length,
    replicationFactor: partitions[0]!.replicas.length,
    configs: entries
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map(({ name, value, source }) => ({ name, value, readOnly: false, configSource: source, isSensitive: false })),
  };
}
