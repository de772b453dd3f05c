/**
 * The part of a server that faces the network: listeners, connections, dispatch. It needs a broker only to hand it to the handlers.
 */
import type { Logger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { Handler } from "../handlers/handler.ts";
import type { Clock } from "../io/clock.ts";
import { Deadlines } from "../io/deadlines.ts";
import type { Listener, Net } from "../io/net.ts";
import { Connections } from "./connections.ts";
import { Counters } from "./counters.ts";
import { Dispatch } from "./dispatch.ts";
import { RequestMemory } from "./request-memory.ts";

export interface FrontendOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly net: Net;
  readonly broker: Broker;
  readonly handlers: readonly Handler[];
  /** How many connections the process can have at all. */
  readonly affordableConnections: number;
  onFatal(error: unknown): void;
}

/** Where to listen. Security (TLS, SASL) will be a matter of each listener. */
export interface ListenerSpec {
  /** Kafka's listener name, "PLAINTEXT". */
  readonly name: string;
  readonly host: string;
  readonly port: number;
}

export class Frontend {
  readonly counters = new Counters();
  readonly memory: RequestMemory;
  readonly connections: Connections;
  private readonly net: Net;
  private readonly config: ServerConfig;
  private readonly deadlines: Deadlines;
  private readonly listeners = new Map<string, Listener>();

  constructor(o: FrontendOptions) {
    const { config, logger, clock, broker, net, handlers, affordableConnections } = o;
    const onFatal = (error: unknown) => o.onFatal(error);
    this.net = net;
    this.config = config;
    this.deadlines = new Deadlines(clock); // not the broker's: it is closed before our last answers are sent
    const memory = new RequestMemory(config.requestBufferBytes, clock);
    const context = {
      ...{ broker, logger, onFatal },
      answerRoomBytes: () => memory.roomBytes,
    };
    const { counters, deadlines } = this;
    const dispatch = new Dispatch({ handlers, context, counters, maxItems: config.maxRequestItems });
    this.memory = memory;
    this.connections = new Connections({
      ...{ config, affordableConnections, logger, clock, deadlines, net, memory, counters, dispatch, onFatal },
    });
  }

  /** Begins to accept; gives the address as bound. Throws the system's error. */
  listen({ name, host, port }: ListenerSpec): { readonly host: string; readonly port: number } {
    const { sendBufferBytes } = this.config;
    const listener = this.net.listen({ host, port, sendBufferBytes, accept: (socket) => this.connections.accept(socket) });
    this.listeners.set(name, listener);
    return { host: listener.host, port: listener.port };
  }

  /** Accepts no connection and no request any more; each connection closes once what it had begun is answered and sent, or after `withinMs`. */
  end(withinMs: number): void {
    for (const listener of this.listeners.values()) listener.stop();
    this.listeners.clear();
    this.connections.endAll(withinMs);
  }

  /** Resolves when no request is worked on, long polls aside, or after `withinMs`. */
  quiet(withinMs: number): Promise<void> {
    return this.connections.quiet(withinMs);
  }

  /** After `end` and the broker's end: resolves when all answers are sent and all connections closed, or after `withinMs`. */
  drained(withinMs: number): Promise<void> {
    return this.connections.drained(withinMs);
  }

  /** Closes everything at once. */
  abort(): void {
    this.end(0);
    this.connections.abortAll();
    this.deadlines.close();
  }
}
