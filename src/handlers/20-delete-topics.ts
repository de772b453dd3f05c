/** DeleteTopics, by name or (version 6) by id. Source: ControllerApis.deleteTopics. */
import type { DeleteTarget } from "../broker/topics-delete.ts";
import { KafkaError } from "../protocol/errors.ts";
import { DeleteTopics } from "../protocol/messages/20-delete-topics.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { type Call, handler } from "./handler.ts";

type DeleteCall = Call<typeof DeleteTopics>;

export const deleteTopics = handler<typeof DeleteTopics>({
  api: DeleteTopics,
  served: "1-6",
  async handle(call) {
    const { broker, version } = call;
    if (!broker.config.deleteTopicEnable && version < 3) {
      throw new KafkaError("INVALID_REQUEST", "This version does not support topic deletion.");
    }
    const results = await broker.topics.delete(targets(call));
    call.reply({
      responses: results.map(({ name, topicId, error }) => ({
        name,
        topicId,
        errorCode: error === null ? 0 : error.code,
        errorMessage: error === null ? null : error.message,
      })),
    });
  },
  onError: (error, call) => ({
    responses: targets(call).map(({ name, topicId }) => ({ name, topicId, errorCode: error.code })),
  }),
});

/** Below version 6 there is a list of names only. */
function targets({ request, version }: DeleteCall): DeleteTarget[] {
  if (version < 6) return request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
  return request.topics.map(({ name, topicId }) => ({ name, topicId }));
}
