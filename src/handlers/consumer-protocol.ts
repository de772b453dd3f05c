/** Whether groups of the consumer protocol (KIP-848) are served at all. Source: KafkaApis.isConsumerGroupProtocolEnabled. */
import type { ServerConfig } from "../config/server-options.ts";
import { KafkaError } from "../protocol/errors.ts";

/** Throws UNSUPPORTED_VERSION if the operator does not want them. */
export function requireConsumerProtocol(config: ServerConfig): void {
  if (!config.groupRebalanceProtocols.includes("consumer"))
    throw new KafkaError("UNSUPPORTED_VERSION", "The version of API is not supported.");
}
