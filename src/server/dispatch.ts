/**
 * From a frame to a handler: reads the header, finds the API, decodes the body. What is not served is refused here: with a bare
 * error response (our own; Kafka closes the connection), but for ApiVersions (KIP-511) and for produces that want no answer.
 */
import type { Chunk } from "../bytes/chunks.ts";
import { OutOfBounds, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import type { Handler } from "../handlers/handler.ts";
import { API_KEYS } from "../protocol/api-keys.ts";
import { requestCodec } from "../protocol/compile.ts";
import { ErrorCode } from "../protocol/errors.ts";
import {
  bareErrorResponse,
  peekRequestStart,
  type RequestStart,
  readRequestHeader,
  requestHeaderVersion,
  writeResponse,
} from "../protocol/frames.ts";
import { ApiVersions } from "../protocol/messages/18-api-versions.ts";
import { hasBytes, parseVersions } from "../protocol/schema.ts";
import { type CallContext, CallImpl, type CallOwner } from "./call.ts";
import type { Counters } from "./counters.ts";
import type { Frame } from "./received.ts";

/** What a frame became. A call is not started yet; an answer is whole; a drop says why the connection has to be closed. */
export type Dispatched =
  | { readonly kind: "call"; readonly call: CallImpl; readonly pipelined: boolean }
  | { readonly kind: "answer"; readonly pieces: Chunk[] }
  | { readonly kind: "drop"; readonly reason: string };

interface Served {
  readonly handler: Handler;
  readonly min: number;
  readonly max: number;
  readonly pipelined: boolean;
  /** Its requests hold bytes that the handler may keep views of. */
  readonly keepsBytes: boolean;
}

const PRODUCE_KEY = 0;
const API_VERSIONS_KEY = 18;

export class Dispatch {
  private readonly served: (Served | undefined)[] = [];
  private readonly context: CallContext;
  private readonly counters: Counters;
  private readonly maxItems: number;

  /** `maxItems`: array elements that one request may hold in all. */
  constructor(o: { handlers: readonly Handler[]; context: CallContext; counters: Counters; maxItems: number }) {
    this.context = o.context;
    this.counters = o.counters;
    this.maxItems = o.maxItems;
    for (const handler of o.handlers) {
      const range = parseVersions(handler.served);
      if (range === null) continue;
      const keepsBytes = hasBytes(handler.api.request) && handler.keepsBytes !== false;
      this.served[handler.api.key] = { handler, ...range, pipelined: handler.pipelined === true, keepsBytes };
    }
  }

  /** Whether the request in a frame may begin while earlier ones of its kind are unanswered. */
  mayOverlap(frame: Frame): boolean {
    return frame.bytes >= 2 && this.served[frame.received.buffer.readInt16BE(frame.at)]?.pipelined === true;
  }

  /** Decodes a frame. A call takes the frame over; otherwise it is released. Throws MalformedError. */
  dispatch(connection: CallOwner, frame: Frame, nowMs: number): Dispatched {
    let isCall = false;
    try {
      const dispatched = this.decode(connection, frame, nowMs);
      isCall = dispatched.kind === "call";
      return dispatched;
    } finally {
      if (!isCall) frame.received.release();
    }
  }

  private decode(connection: CallOwner, frame: Frame, nowMs: number): Dispatched {
    const r = new Reader(frame.received.buffer, frame.at, frame.limit);
    const start = peekRequestStart(r);
    const served = this.served[start.apiKey];
    if (served === undefined || start.apiVersion < served.min || start.apiVersion > served.max) {
      return this.refuse(r, start);
    }
    const { handler } = served;
    const { clientId } = readRequestHeader(r, requestHeaderVersion(handler.api, start.apiVersion));
    r.itemsLeft = this.maxItems;
    const request = requestCodec(handler.api, start.apiVersion).decode(r);
    this.counters.requests[start.apiKey]!++;
    if (served.keepsBytes) frame.received.isShared = true;
    const call = new CallImpl({
      context: this.context,
      connection,
      handler,
      version: start.apiVersion,
      correlationId: start.correlationId,
      clientId,
      request,
      frame,
      items: this.maxItems - r.itemsLeft,
      startedAtMs: nowMs,
    });
    return { kind: "call", call, pipelined: served.pipelined };
  }

  private refuse(r: Reader, { apiKey, apiVersion, correlationId }: RequestStart): Dispatched {
    this.counters.requestsNotServed++;
    if (apiKey === API_VERSIONS_KEY) return { kind: "answer", pieces: this.ownVersions(correlationId) };
    if (apiKey === PRODUCE_KEY && asksForNoAnswer(r, apiVersion)) {
      return { kind: "drop", reason: `produce v${apiVersion} with acks=0 is not served, and has no answer` };
    }
    this.context.logger.debug("request not served", { api: apiName(apiKey), version: apiVersion });
    return { kind: "answer", pieces: [bareErrorResponse(correlationId)] };
  }

  /** KIP-511: whatever version was asked for, the answer is of version 0 and says which versions there are. */
  private ownVersions(correlationId: number): Chunk[] {
    const own = this.served[API_VERSIONS_KEY];
    const apiKeys = own === undefined ? [] : [{ apiKey: API_VERSIONS_KEY, minVersion: own.min, maxVersion: own.max }];
    return writeResponse(new Writer(64), ApiVersions, 0, correlationId, { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys });
  }
}

/** From which version on a Produce request has the flexible header, and a transactional id before acks. */
const PRODUCE_FLEXIBLE_SINCE = 9;
const TRANSACTIONAL_ID_SINCE = 3;

/** Reads the acks of a Produce in a version that is not served. They stand first, behind the transactional id, in every version so far. */
function asksForNoAnswer(r: Reader, version: number): boolean {
  try {
    r.skip(8); // key, version, correlation id
    r.skip(Math.max(0, r.int16())); // client id
    if (version >= PRODUCE_FLEXIBLE_SINCE) {
      r.skipTags();
      r.skip(Math.max(0, r.uvarint() - 1));
    } else if (version >= TRANSACTIONAL_ID_SINCE) {
      r.skip(Math.max(0, r.int16()));
    }
    return r.int16() === 0;
  } catch (error) {
    if (error instanceof OutOfBounds) return false;
    throw error;
  }
}

const nameByKey = new Map(API_KEYS.map(({ key, name }) => [key, name]));

/** "Fetch", or "key 4711" for one that Kafka does not have. */
export const apiName = (key: number): string => nameByKey.get(key) ?? `key ${key}`;
