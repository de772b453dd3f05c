/** Requests by hand, byte by byte, on a raw socket: for what no client does. */

import { connect, type Socket } from "node:net";
import { sleep } from "./until.ts";

/** The smallest request header (v1): API key, version, correlation id, client id "wire". */
export function request(apiKey: number, apiVersion: number, correlationId: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const client = Buffer.from("wire");
  const head = Buffer.alloc(14);
  head.writeInt32BE(10 + client.length + body.length, 0);
  head.writeInt16BE(apiKey, 4);
  head.writeInt16BE(apiVersion, 6);
  head.writeInt32BE(correlationId, 8);
  head.writeInt16BE(client.length, 12);
  return Buffer.concat([head, client, body]);
}

export const int16 = (n: number): Buffer => {
  const b = Buffer.alloc(2);
  b.writeInt16BE(n);
  return b;
};
export const int32 = (n: number): Buffer => {
  const b = Buffer.alloc(4);
  b.writeInt32BE(n);
  return b;
};
export const int64 = (n: number | bigint): Buffer => {
  const b = Buffer.alloc(8);
  b.writeBigInt64BE(BigInt(n));
  return b;
};
/** A string of the old encoding: int16 length, bytes. */
export const string = (s: string): Buffer => Buffer.concat([int16(Buffer.byteLength(s)), Buffer.from(s)]);

/** CRC-32C, bit by bit. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** A batch of one record without key; the value must be shorter than 50 bytes, so that every varint has one byte. */
export function batch(value: string, timestampMs = Date.now()): Buffer {
  const text = Buffer.from(value);
  const record = Buffer.concat([Buffer.from([0, 0, 0, 1, text.length * 2]), text, Buffer.from([0])]);
  const sealed = Buffer.concat([
    ...[int16(0), int32(0), int64(timestampMs), int64(timestampMs)], // attributes, last offset delta, timestamps
    ...[int64(-1), int16(-1), int32(-1)], // producer id, epoch, base sequence
    ...[int32(1), Buffer.from([record.length * 2]), record],
  ]);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32c(sealed));
  const rest = Buffer.concat([int32(-1), Buffer.from([2]), crc, sealed]);
  return Buffer.concat([int64(0), int32(rest.length), rest]);
}

/** A Produce request (versions 3 to 8) of one batch to one partition. */
export function produceRequest(
  version: number,
  id: number,
  topic: string,
  partition: number,
  acks: number,
  records: Buffer,
): Buffer {
  const body = [int16(-1), int16(acks), int32(30_000), int32(1), string(topic), int32(1), int32(partition)];
  return request(0, version, id, Buffer.concat([...body, int32(records.length), records]));
}

/** A Fetch request (version 4) of one partition. */
export function fetchRequest(
  id: number,
  topic: string,
  partition: number,
  offset: number,
  {
    maxWaitMs,
    minBytes = 1,
    maxBytes = 1 << 20,
    committed = false,
  }: { maxWaitMs: number; minBytes?: number; maxBytes?: number; committed?: boolean },
): Buffer {
  const limits = [int32(-1), int32(maxWaitMs), int32(minBytes), int32(maxBytes), Buffer.from([committed ? 1 : 0])];
  const what = [int32(1), string(topic), int32(1), int32(partition), int64(offset), int32(maxBytes)];
  return request(1, 4, id, Buffer.concat([...limits, ...what]));
}

/** The one partition of an answer to fetchRequest. */
export function fetchAnswer(answer: Buffer): { id: number; error: number; highWatermark: number; records: Buffer | null } {
  const at = 4 + 4 + 4 + 2 + answer.readInt16BE(12) + 4 + 4; // id, throttle time, topics, name, partitions, index
  const aborted = answer.readInt32BE(at + 18); // -1 or 0 of them
  if (aborted > 0) throw new Error("aborted transactions");
  const size = answer.readInt32BE(at + 22);
  return {
    id: answer.readInt32BE(0),
    error: answer.readInt16BE(at),
    highWatermark: Number(answer.readBigInt64BE(at + 2)),
    records: size < 0 ? null : answer.subarray(at + 26, at + 26 + size),
  };
}

/** A connection that hands out the response frames in the order in which they come. */
export class WireConnection {
  readonly #socket: Socket;
  readonly #frames: Buffer[] = [];
  #rest = Buffer.alloc(0);
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(Buffer.from(chunk)));
    socket.on("close", () => {
      this.closed = true;
    });
    socket.on("error", () => {
      this.closed = true;
    });
  }

  static open(port: number): Promise<WireConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("error", reject);
      socket.once("connect", () => resolve(new WireConnection(socket)));
    });
  }

  #take(chunk: Uint8Array): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readInt32BE(0)) {
      const end = 4 + this.#rest.readInt32BE(0);
      this.#frames.push(Buffer.from(this.#rest.subarray(4, end)));
      this.#rest = this.#rest.subarray(end);
    }
  }

  send(...frames: Buffer[]): void {
    this.#socket.write(Buffer.concat(frames));
  }

  /** The next response without its size: correlation id and body. Throws when the connection closes or nothing comes. */
  async next(timeoutMs = 10_000): Promise<Buffer> {
    for (let waited = 0; waited < timeoutMs; waited += 5) {
      const frame = this.#frames.shift();
      if (frame !== undefined) return frame;
      if (this.closed) throw new Error("the broker closed the connection");
      await sleep(5);
    }
    throw new Error(`no response within ${timeoutMs} ms`);
  }

  /** Whether the broker closes the connection within this time. */
  async closes(timeoutMs = 5000): Promise<boolean> {
    for (let waited = 0; waited < timeoutMs && !this.closed; waited += 5) await sleep(5);
    return this.closed;
  }

  end(): void {
    this.#socket.destroy();
  }
}
