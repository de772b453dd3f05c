/** One request from the frame that brought it to the answer: what handlers see as a `Call`. */
import { assert, BrokenInvariant } from "../base/assert.ts";
import type { LogFields, Logger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import { type Chunk, isStored, releaseChunks } from "../bytes/chunks.ts";
import { Writer } from "../bytes/writer.ts";
import type { Call, ConnectionInfo, Handler } from "../handlers/handler.ts";
import { KafkaError } from "../protocol/errors.ts";
import { writeResponse } from "../protocol/frames.ts";
import type { AnyApi, Erased, Request, ResponseInput } from "../protocol/schema.ts";
import type { Frame } from "./received.ts";

/** The connection, as far as its calls need it. */
export interface CallOwner extends ConnectionInfo {
  /** For log lines: "10.0.0.7:51234". */
  readonly client: string;
  /** The call has ended: `outcome` and `pieces` are set. */
  onEnded(call: CallImpl): void;
  /** The call holds `bytes` less than before. */
  onReleased(bytes: number): void;
}

/** What all calls of a server share. */
export interface CallContext {
  readonly broker: Broker;
  readonly logger: Logger;
  /** How much an answer that can be cut should hold at most now, in bytes. */
  answerRoomBytes(): number;
  /** A broken invariant of ours: the process must not go on. */
  onFatal(error: unknown): void;
}

export type Outcome = "pending" | "answered" | "silent" | "dropped";

/** What an array item costs once it is an object, beside its bytes: a rough figure for small ones. */
const ITEM_BYTES = 100;
/** Small answers share buffers of this size, so it is what one small answer keeps alive until it is sent. */
const SCRATCH_BYTES = 16 * 1024;

/** One for all: encoding is synchronous. */
const writer = new Writer(SCRATCH_BYTES);

const PRODUCE_KEY = 0;

export class CallImpl implements Call<AnyApi> {
  readonly connection: CallOwner;
  readonly api: AnyApi;
  readonly version: number;
  readonly clientId: string;
  readonly correlationId: number;
  readonly request: Request<AnyApi>;
  /** In the clock's monotonic milliseconds. */
  readonly startedAtMs: number;
  outcome: Outcome = "pending";
  /** The whole answer, once the outcome is "answered", until the connection takes it. */
  pieces: Chunk[] | null = null;
  /** Why the connection is to be closed, once the outcome is "dropped". */
  reason = "";
  private readonly context: CallContext;
  private readonly handler: Handler;
  private frame: Frame | null;
  private itemBytes: number;
  private onAbandoned: (() => void) | null = null;

  constructor(o: {
    context: CallContext;
    connection: CallOwner;
    handler: Handler;
    version: number;
    correlationId: number;
    clientId: string;
    request: Request<AnyApi>;
    frame: Frame;
    items: number;
    startedAtMs: number;
  }) {
    this.context = o.context;
    this.connection = o.connection;
    this.handler = o.handler;
    this.api = o.handler.api;
    this.version = o.version;
    this.correlationId = o.correlationId;
    this.clientId = o.clientId;
    this.request = o.request;
    this.frame = o.frame;
    this.itemBytes = o.items * ITEM_BYTES;
    this.startedAtMs = o.startedAtMs;
  }

  get broker(): Broker {
    return this.context.broker;
  }

  /** What the request holds beside its frame. */
  get heldBytes(): number {
    return this.itemBytes;
  }

  get answerRoomBytes(): number {
    return this.context.answerRoomBytes();
  }

  /** Calls the handler; whatever it throws ends the call. */
  start(): void {
    try {
      const result = this.handler.handle(this);
      if (result !== undefined) result.catch((error: unknown) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  reply(response: ResponseInput<AnyApi>): void {
    this.mustBePending();
    try {
      this.pieces = writeResponse(writer, this.api, this.version, this.correlationId, response);
    } catch (error) {
      return this.failUnencodable(error);
    }
    if (!this.connection.closed) return this.end("answered");
    this.discardAnswer();
    this.end("silent");
  }

  /** The answer will not be sent. */
  discardAnswer(): void {
    if (this.pieces !== null) releaseChunks(this.pieces);
    this.pieces = null;
  }

  /** How much of the answer is in memory. */
  get answerBytes(): number {
    let bytes = 0;
    for (const piece of this.pieces ?? []) if (!isStored(piece)) bytes += piece.byteLength;
    return bytes;
  }

  fail(error: unknown): void {
    if (error instanceof BrokenInvariant) return this.context.onFatal(error);
    if (!(error instanceof KafkaError))
      this.context.logger.error("request failed", { ...this.describe(), stack: stackOf(error) });
    if (this.outcome !== "pending") return; // it had its answer before it failed
    const known = error instanceof KafkaError ? error : new KafkaError("UNKNOWN_SERVER_ERROR");
    if (this.isNeverAnswered()) return this.drop(`produce with acks=0 failed: ${known.error}`);
    let response: ResponseInput<AnyApi>;
    try {
      response = this.handler.onError(known, this);
    } catch (second) {
      return this.failUnencodable(second);
    }
    this.reply(response);
  }

  silence(): void {
    this.mustBePending();
    this.end("silent");
  }

  drop(reason: string): void {
    this.mustBePending();
    this.reason = reason;
    this.end("dropped");
  }

  releaseRequest(): void {
    const { frame } = this;
    if (frame === null) return;
    this.frame = null;
    frame.received.release();
    const { itemBytes } = this;
    this.itemBytes = 0;
    this.connection.onReleased(itemBytes);
  }

  /** Runs `run` when the connection closes before the call has ended: for what would wait long for nothing. One per call. */
  whenAbandoned(run: () => void): void {
    this.onAbandoned = run;
  }

  /** Called by the connection when it closes. */
  abandon(): void {
    const run = this.onAbandoned;
    this.onAbandoned = null;
    run?.();
  }

  /** For log lines about this call. */
  describe(): LogFields {
    return { api: this.api.name, version: this.version, client: this.connection.client, clientId: this.clientId };
  }

  /** An answer that does not fit its API is a bug of ours: the client gets an error if that can be encoded, or loses the connection. */
  private failUnencodable(error: unknown): void {
    if (error instanceof BrokenInvariant) return this.context.onFatal(error);
    this.context.logger.error("answer cannot be encoded", { ...this.describe(), stack: stackOf(error) });
    try {
      const response = this.handler.onError(new KafkaError("UNKNOWN_SERVER_ERROR"), this);
      this.pieces = writeResponse(writer, this.api, this.version, this.correlationId, response);
    } catch {
      return this.drop("the answer cannot be encoded");
    }
    this.end("answered");
  }

  private isNeverAnswered(): boolean {
    return this.api.key === PRODUCE_KEY && (this.request as Erased).acks === 0;
  }

  private mustBePending(): void {
    assert(this.outcome === "pending", `a ${this.api.name} call was ended twice`);
  }

  private end(outcome: Outcome): void {
    this.outcome = outcome;
    this.onAbandoned = null;
    this.releaseRequest();
    this.connection.onEnded(this);
  }
}

const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
