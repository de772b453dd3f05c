/** CreatePartitions. What is checked and made: broker/topics-grow.ts. Source: ControllerApis.createPartitions. */
import { type GrowthResult, growTopics } from "../broker/topics-grow.ts";
import { CreatePartitions } from "../protocol/messages/37-create-partitions.ts";
import { handler } from "./handler.ts";
import { Told } from "./told.ts";

export const createPartitions = handler<typeof CreatePartitions>({
  api: CreatePartitions,
  served: "0-3",
  async handle(call) {
    const { topics, validateOnly } = call.request;
    const results = await growTopics(call.broker, topics, { validateOnly });
    const told = new Told();
    const answer = ({ name, error }: GrowthResult) =>
      error === null ? { name, errorCode: 0 } : { name, errorCode: error.code, errorMessage: told.message(error.message) };
    call.reply({ results: results.map(answer) });
  },
  onError: (error, call) => ({
    results: call.request.topics.map(({ name }) => ({ name, errorCode: error.code })),
  }),
});
