/** Whether groups of the consumer protocol (KIP-848) are served at all. Source: KafkaApis.isConsumerGroupProtocolEnabled. */
import type { Broker } from "../broker/broker.ts";
import { GROUP_VERSION } from "../metadata/features.ts";
import { KafkaError } from "../protocol/errors.ts";

/** Throws UNSUPPORTED_VERSION if the operator does not want them, or the cluster has not agreed on them. */
export function requireConsumerProtocol({ config, image }: Broker): void {
  if (!config.groupRebalanceProtocols.includes("consumer") || image.featureLevel(GROUP_VERSION) < 1)
    throw new KafkaError("UNSUPPORTED_VERSION", "The version of API is not supported.");
}
