/** The brokers of the cluster as one client is told of them. */
import type { BrokerImage, MetadataImage } from "../metadata/image.ts";

/** What is needed of the broker that answers; `C` is its notion of a connection. */
export interface Answering<C> {
  readonly nodeId: number;
  readonly image: MetadataImage;
  /** The address under which this client reaches this broker. */
  endpoint(connection: C): { host: string; port: number };
}

/** The registered brokers in the order of their ids; this one at the address that the client can use, the others as they registered. */
export function brokerNodes<C>(broker: Answering<C>, connection: C): Pick<BrokerImage, "nodeId" | "host" | "port" | "rack">[] {
  return broker.image.brokers().map((registered) => {
    const { nodeId, host, port, rack } = registered;
    return nodeId === broker.nodeId ? { nodeId, ...broker.endpoint(connection), rack } : { nodeId, host, port, rack };
  });
}
