/**
 * FindCoordinator: the coordinator of every group and every transactional id is this broker; the first question makes the topic that holds
 * their state. Share groups come later, and are refused with an error that clients do not retry.
 */
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import { FindCoordinator } from "../protocol/messages/10-find-coordinator.ts";
import { type Call, handler } from "./handler.ts";

type FindCoordinatorCall = Call<typeof FindCoordinator>;

const BATCHED_SINCE = 4;
const GROUP = 0;
const TRANSACTION = 1;

/** Kafka's Node.noNode(). */
const NOBODY = { nodeId: -1, host: "", port: -1 };

export const findCoordinator = handler<typeof FindCoordinator>({
  api: FindCoordinator,
  served: "0-6",
  async handle(call) {
    const { key, coordinatorKeys } = call.request;
    if (call.version >= BATCHED_SINCE) {
      const coordinators = await Promise.all(coordinatorKeys.map(async (each) => ({ key: each, ...(await find(call, each)) })));
      call.reply({ coordinators });
    } else {
      const found = await find(call, key);
      // As Kafka does, the error's name where there is no message, "NONE" included.
      call.reply({ ...found, errorMessage: found.errorMessage || (found.errorCode === 0 ? "NONE" : ""), coordinators: [] });
    }
  },
  onError(error, call) {
    const refused = { ...NOBODY, errorCode: error.code, errorMessage: error.message };
    if (call.version < BATCHED_SINCE) return { ...refused, coordinators: [] };
    return { coordinators: call.request.coordinatorKeys.map((key) => ({ key, ...refused })) };
  },
});

interface Found {
  nodeId: number;
  host: string;
  port: number;
  errorCode: number;
  errorMessage: string;
}

async function find(call: FindCoordinatorCall, key: string): Promise<Found> {
  try {
    const { keyType } = call.request;
    if (keyType !== GROUP && keyType !== TRANSACTION)
      throw new KafkaError("INVALID_REQUEST", `coordinators of type ${keyType} are not served`);
    if (!(await isHere(call, key))) throw new KafkaError("COORDINATOR_NOT_AVAILABLE", "");
    return { nodeId: call.broker.nodeId, ...call.broker.endpoint(call.connection), errorCode: 0, errorMessage: "" };
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    return { ...NOBODY, errorCode: error.code, errorMessage: error.message };
  }
}

/** Whatever keeps the internal topic from being made, the client is to ask again. */
async function isHere(call: FindCoordinatorCall, key: string): Promise<boolean> {
  const { groups, transactions } = call.broker;
  try {
    return await (call.request.keyType === GROUP ? groups : transactions).coordinates(key);
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error;
    const name: ErrorName = error.error;
    call.broker.logger.warn("an internal topic could not be made", { error: name, reason: error.message });
    return false;
  }
}
