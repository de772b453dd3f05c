/** AlterConfigs: replaces everything that is set for a resource. Deprecated by IncrementalAlterConfigs. Source: ConfigAdminManager.preprocess. */
import { AlterConfigs } from "../protocol/messages/33-alter-configs.ts";
import { alterEach, checkConfigNames, scopeOf } from "./config-resources.ts";
import { handler } from "./handler.ts";

export const alterConfigs = handler<typeof AlterConfigs>({
  api: AlterConfigs,
  served: "0-2",
  async handle(call) {
    const { resources, validateOnly } = call.request;
    const responses = await alterEach(resources, ({ resourceType, resourceName: name, configs }) => {
      checkConfigNames(configs, () => true);
      const texts = new Map(configs.map((config) => [config.name, config.value ?? ""]));
      return call.broker.configChanges.replace({ scope: scopeOf(resourceType), name }, texts, validateOnly);
    });
    call.reply({ responses });
  },
  onError: (error, call) => ({
    responses: call.request.resources.map(({ resourceType, resourceName }) => ({
      ...{ resourceType, resourceName },
      errorCode: error.code,
      errorMessage: error.message,
    })),
  }),
});
