/**
 * Owns what stands around a message on a connection: the int32 size, request and response headers, and the bare error response.
 */
import type { Chunk } from "../bytes/chunks.ts";
import type { Reader } from "../bytes/reader.ts";
import type { Writer } from "../bytes/writer.ts";
import { dataCodec, requestCodec, responseCodec } from "./compile.ts";
import { ErrorCode, MalformedError } from "./errors.ts";
import { RequestHeader, ResponseHeader } from "./records/headers.ts";
import { type AnyApi, type Api, covers, type Erased, type Fields, type Input } from "./schema.ts";

/** What every request begins with, whatever its header's version: enough to name it and to refuse it. */
export interface RequestStart {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
}

/** The bytes of RequestStart: a frame with fewer is no request. */
export const REQUEST_START_BYTES = 8;

const API_VERSIONS_KEY = 18;

/** The version of an API's request header: 2 (tagged fields) in flexible versions, 1 before (ApiMessageType). */
export const requestHeaderVersion = (api: AnyApi, version: number): number => (covers(api.flexible, version) ? 2 : 1);

/** The version of an API's response header. ApiVersions stays at 0, so that every client can read a refusal (KIP-511). */
export const responseHeaderVersion = (api: AnyApi, version: number): number =>
  api.key !== API_VERSIONS_KEY && covers(api.flexible, version) ? 1 : 0;

/** Reads the start of a frame (without its size) and leaves `r.at` where it was. Throws MalformedError. */
export function peekRequestStart(r: Reader): RequestStart {
  if (r.remaining < REQUEST_START_BYTES) throw new MalformedError(`a request of ${r.remaining} bytes`);
  const { at } = r;
  const start = { apiKey: r.int16(), apiVersion: r.int16(), correlationId: r.int32() };
  r.at = at;
  return start;
}

/** Reads a whole request header; the body follows at `r.at`. A null client id is "" (as in Kafka). Throws MalformedError. */
export function readRequestHeader(r: Reader, headerVersion: number): RequestStart & { readonly clientId: string } {
  const header = dataCodec(RequestHeader, headerVersion).decode(r);
  return {
    apiKey: header.requestApiKey,
    apiVersion: header.requestApiVersion,
    correlationId: header.correlationId,
    clientId: header.clientId ?? "",
  };
}

/** A whole response frame, size first. When the body cannot be encoded the writer is emptied and the RangeError passed on. */
export function writeResponse<S extends Fields>(
  w: Writer,
  api: Api<Erased, S>,
  version: number,
  correlationId: number,
  response: Input<S>,
): Chunk[] {
  return writeFrame(w, () => {
    dataCodec(ResponseHeader, responseHeaderVersion(api, version)).encode(w, { correlationId });
    responseCodec(api, version).encode(w, response);
  });
}

/** A whole request frame, size first. */
export function writeRequest<Q extends Fields>(
  w: Writer,
  api: Api<Q, Erased>,
  version: number,
  start: { readonly correlationId: number; readonly clientId: string | null },
  request: Input<Q>,
): Uint8Array[] {
  return writeFrame(w, () => {
    const header = { requestApiKey: api.key, requestApiVersion: version, ...start };
    dataCodec(RequestHeader, requestHeaderVersion(api, version)).encode(w, header);
    requestCodec(api, version).encode(w, request);
  }) as Uint8Array[]; // nobody asks with what lies in a file
}

/** Reads a response header; gives the correlation id, the body follows at `r.at`. Throws MalformedError. */
export const readResponseHeader = (r: Reader, headerVersion: number): number =>
  dataCodec(ResponseHeader, headerVersion).decode(r).correlationId;

function writeFrame(w: Writer, body: () => void): Chunk[] {
  const size = w.reserveInt32();
  try {
    body();
  } catch (error) {
    w.discard();
    throw error;
  }
  w.patchInt32(size, w.size - 4);
  return w.finish();
}

/** The whole frame for an API or version that is not served: size, correlation id, int16 35. Our own: Kafka closes the connection. */
export function bareErrorResponse(correlationId: number): Uint8Array {
  const frame = Buffer.alloc(10);
  frame.writeInt32BE(6, 0);
  frame.writeInt32BE(correlationId, 4);
  frame.writeInt16BE(ErrorCode.UNSUPPORTED_VERSION, 8);
  return frame;
}
