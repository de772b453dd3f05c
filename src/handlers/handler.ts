/**
 * What a handler is: it takes a decoded request, authorises it, delegates to the broker, and answers. Adding a Kafka API is one
 * declaration in protocol/messages/, one handler file here, and one line in index.ts.
 */
import type { Broker } from "../broker/broker.ts";
import type { KafkaError } from "../protocol/errors.ts";
import type { AnyApi, Request, ResponseInput, Versions } from "../protocol/schema.ts";

/** The connection that a request came on, as far as handlers may know it. */
export interface ConnectionInfo {
  readonly id: number;
  readonly remoteAddress: string;
  /** The address that the client connected to: what a wildcard listener advertises. */
  readonly localAddress: string;
  readonly localPort: number;
  /** True once the socket is gone: answers go nowhere, and what has not begun should not begin. */
  readonly closed: boolean;
  /** From ApiVersions v3+, "" before. */
  clientSoftwareName: string;
  clientSoftwareVersion: string;
}

/** One request on its way to one answer. Exactly one of reply, fail, silence or drop ends it, now or later. */
export interface Call<A extends AnyApi> {
  readonly broker: Broker;
  readonly connection: ConnectionInfo;
  readonly api: A;
  readonly version: number;
  /** "" when the client gave none. */
  readonly clientId: string;
  /** Byte fields are views into the received frame, which stays alive as long as they do; but see `Handler.keepsBytes`. */
  readonly request: Request<A>;
  /** How large an answer may be now without pressing on the memory for requests and answers. In bytes; asked anew it can differ. */
  readonly answerRoomBytes: number;
  /** Encodes at once; record chunks are referenced until the socket took them. Never throws for a closed connection. */
  reply(response: ResponseInput<A>): void;
  /** Answers with the handler's `onError`; anything but a KafkaError becomes UNKNOWN_SERVER_ERROR and is logged with its stack. */
  fail(error: unknown): void;
  /** Ends the call without an answer (Produce with acks=0). */
  silence(): void;
  /** Ends the call by closing the connection; the reason is logged. */
  drop(reason: string): void;
  /** Gives the request's bytes back to the buffer budget before the answer: for calls that wait long after they have used them. */
  releaseRequest(): void;
}

export interface Handler<A extends AnyApi = AnyApi> {
  readonly api: A;
  /** The versions that are served whole. */
  readonly served: Versions;
  /** What ApiVersions says, when it differs from `served` (Produce says 0: KAFKA-18659). */
  readonly advertised?: Versions;
  /** May start while earlier pipelined calls of its connection are unanswered; all others wait for an empty connection, as in Kafka. */
  readonly pipelined?: boolean;
  /** False: of the request's byte fields nothing is used any more after `releaseRequest`, or the end of the call; their memory is then freed at once. */
  readonly keepsBytes?: false;
  /** Synchronous on the hot path. A throw or a rejection is `call.fail`. */
  handle(call: Call<A>): void | Promise<void>;
  /** The response that carries an error of the whole request. */
  onError(error: KafkaError, call: Call<A>): ResponseInput<A>;
}

/** Checks a handler's types against its API; the list in index.ts is of the erased kind. */
export const handler = <A extends AnyApi>(declaration: Handler<A>): Handler => declaration as unknown as Handler;
