/**
 * IncrementalAlterConfigs: sets, deletes, appends to and subtracts from configs, each resource for itself; levels of loggers too.
 * Source: ConfigAdminManager.preprocess, RuntimeLoggerManager.
 */
import type { Broker } from "../broker/broker.ts";
import type { ConfigStep } from "../broker/config-changes-plan.ts";
import { KafkaError } from "../protocol/errors.ts";
import { IncrementalAlterConfigs } from "../protocol/messages/44-incremental-alter-configs.ts";
import { alterEach, ConfigResourceType, checkConfigNames, scopeOf } from "./config-resources.ts";
import { type Call, handler } from "./handler.ts";

type Resource = Call<typeof IncrementalAlterConfigs>["request"]["resources"][number];
type Config = Resource["configs"][number];

/** AlterConfigOp.OpType. */
const OPS: readonly ConfigStep["op"][] = ["SET", "DELETE", "APPEND", "SUBTRACT"];

export const incrementalAlterConfigs = handler<typeof IncrementalAlterConfigs>({
  api: IncrementalAlterConfigs,
  served: "0-1",
  async handle(call) {
    const { resources, validateOnly } = call.request;
    call.reply({ responses: await alterEach(resources, (resource) => alter(call.broker, resource, validateOnly)) });
  },
  onError: (error, call) => ({
    responses: call.request.resources.map(({ resourceType, resourceName }) => ({
      ...{ resourceType, resourceName },
      errorCode: error.code,
      errorMessage: error.message,
    })),
  }),
});

function alter(broker: Broker, { resourceType, resourceName, configs }: Resource, validateOnly: boolean): Promise<void> | void {
  checkConfigNames(configs, ({ configOperation }) => OPS[configOperation] !== "DELETE");
  if (resourceType === ConfigResourceType.BROKER_LOGGER) return alterLogger(broker, resourceName, configs, validateOnly);
  const scope = scopeOf(resourceType);
  const steps = configs.map(({ configOperation, name, value }): ConfigStep => {
    const op = OPS[configOperation];
    if (op === undefined) throw new KafkaError("INVALID_REQUEST", `Unknown operations type ${configOperation}`);
    return { op, name, value: value ?? "" };
  });
  return broker.configChanges.alter({ scope, name: resourceName }, steps, validateOnly);
}

function alterLogger(
  { nodeId, ownLogger }: Broker,
  resourceName: string,
  configs: readonly Config[],
  validateOnly: boolean,
): void {
  if (!/^[+-]?\d+$/.test(resourceName))
    throw new KafkaError("INVALID_REQUEST", `Node id must be an integer, but it is: ${resourceName}`);
  if (Number(resourceName) !== nodeId)
    throw new KafkaError("INVALID_REQUEST", `Unexpected node id. Expected ${nodeId}, but received ${Number(resourceName)}`);
  for (const { name, configOperation, value } of configs) {
    const op = OPS[configOperation];
    if (op === "SET") ownLogger.checkSet(name, value!);
    else if (op === "DELETE") ownLogger.checkUnset(name);
    else {
      const what = op === undefined ? `Unknown operation type ${configOperation} is` : `${op} operation is`;
      throw new KafkaError("INVALID_REQUEST", `${what} not allowed for the BROKER_LOGGER resource`);
    }
  }
  if (validateOnly) return;
  for (const { value } of configs) ownLogger.set(value!);
}
