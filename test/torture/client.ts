/** A Kafka client of a few requests, fast to start: one connection, requests by hand. */

import { connect, type Socket } from "node:net";
import { fetchRequest, int16, int32, request, string } from "../support/wire.ts";
import { type Producer, type ReadBatch, type ReadRecord, readBatches } from "./batches.ts";

/** An error code where none was expected. */
export class Refused extends Error {
  readonly code: number;

  constructor(what: string, code: number) {
    super(`${what}: error ${code}`);
    this.code = code;
  }
}

/** The connection ended before the answer came. */
export class Disconnected extends Error {}

export interface Fetched {
  highWatermark: number;
  lastStableOffset: number;
  /** Transactions that were aborted, and where their records begin. */
  aborted: { producerId: number; firstOffset: number }[];
  batches: ReadBatch[];
}

interface Waiting {
  resolve: (frame: Buffer) => void;
  reject: (error: Error) => void;
}

/** A connection; answers come in the order of the requests. */
export class Client {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest: Buffer[] = [];
  #size = 0;
  #ids = 0;
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#take(chunk as Buffer));
    socket.on("close", () => this.#end());
    socket.on("error", () => this.#end());
  }

  static open(port: number, timeoutMs = 10_000): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      socket.setNoDelay(true);
      const timer = setTimeout(() => socket.destroy(new Error("connecting took too long")), timeoutMs);
      socket.once("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      socket.once("connect", () => {
        clearTimeout(timer);
        resolve(new Client(socket));
      });
    });
  }

  #take(chunk: Buffer): void {
    this.#rest.push(chunk);
    this.#size += chunk.length;
    if (this.#size < 4) return;
    let bytes = this.#rest.length === 1 ? chunk : null;
    if (bytes === null) {
      const first = this.#rest[0]!;
      if (first.length >= 4 && this.#size < 4 + first.readInt32BE(0)) return;
      bytes = Buffer.concat(this.#rest);
    }
    let at = 0;
    while (bytes.length - at >= 4 && bytes.length - at >= 4 + bytes.readInt32BE(at)) {
      const end = at + 4 + bytes.readInt32BE(at);
      this.#waiting.shift()?.resolve(Buffer.from(bytes.subarray(at + 4, end)));
      at = end;
    }
    this.#rest = at === bytes.length ? [] : [Buffer.from(bytes.subarray(at))];
    this.#size = bytes.length - at;
  }

  #end(): void {
    this.closed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(new Disconnected("the connection ended"));
  }

  /** The frame that answers this one: correlation id and body. Rejects with Disconnected, or after the time. */
  ask(frame: Buffer, timeoutMs = 60_000): Promise<Buffer> {
    if (this.closed) return Promise.reject(new Disconnected("the connection has ended"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no answer within ${timeoutMs} ms to API ${frame.readInt16BE(4)}`));
        this.close();
      }, timeoutMs);
      const settle = <T>(end: (value: T) => void) => {
        return (value: T) => {
          clearTimeout(timer);
          end(value);
        };
      };
      this.#waiting.push({ resolve: settle(resolve), reject: settle(reject) });
      this.#socket.write(frame);
    });
  }

  nextId(): number {
    return ++this.#ids;
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  async createTopic(name: string, partitions: number): Promise<void> {
    const topic = Buffer.concat([string(name), int32(partitions), int16(1), int32(0), int32(0)]);
    const body = Buffer.concat([int32(1), topic, int32(30_000), Buffer.from([0])]);
    const answer = await this.ask(request(19, 2, this.nextId(), body));
    const code = answer.readInt16BE(4 + 4 + 4 + 2 + Buffer.byteLength(name));
    if (code !== 0) throw new Refused(`to create ${name}`, code);
  }

  async newProducer(): Promise<Producer> {
    const answer = await this.ask(request(22, 0, this.nextId(), Buffer.concat([int16(-1), int32(60_000)])));
    const code = answer.readInt16BE(8);
    if (code !== 0) throw new Refused("to get a producer id", code);
    return { id: Number(answer.readBigInt64BE(10)), epoch: answer.readInt16BE(18) };
  }

  /** One batch each to some partitions of a topic (Produce 3); gives error code and base offset of each. */
  async produce(topic: string, batches: Map<number, Buffer>): Promise<Map<number, { code: number; baseOffset: number }>> {
    const body = [int16(-1), int16(-1), int32(30_000), int32(1), string(topic), int32(batches.size)];
    for (const [partition, batch] of batches) body.push(int32(partition), int32(batch.length), batch);
    const answer = await this.ask(request(0, 3, this.nextId(), Buffer.concat(body)));
    const results = new Map<number, { code: number; baseOffset: number }>();
    let at = 4 + 4 + 2 + Buffer.byteLength(topic);
    const count = answer.readInt32BE(at);
    at += 4;
    for (let i = 0; i < count; i++, at += 22) {
      const result = { code: answer.readInt16BE(at + 4), baseOffset: Number(answer.readBigInt64BE(at + 6)) };
      results.set(answer.readInt32BE(at), result);
    }
    return results;
  }

  /** What a partition has from an offset on, up to 1 MiB or so, and its high watermark. Throws Refused and Unacceptable. */
  async fetch(topic: string, partition: number, offset: number): Promise<{ highWatermark: number; records: ReadRecord[] }> {
    const { highWatermark, batches } = await this.fetchBatches(topic, partition, offset, { committed: false });
    const records = batches.flatMap((batch) => batch.records).filter((record) => record.offset >= offset);
    return { highWatermark, records };
  }

  /** The same, batch by batch: of all that there is, or of what comes before the last stable offset. */
  async fetchBatches(
    topic: string,
    partition: number,
    offset: number,
    { committed, maxBytes = 1 << 20 }: { committed: boolean; maxBytes?: number },
  ): Promise<Fetched> {
    const limits = { maxWaitMs: 0, minBytes: 0, maxBytes, committed };
    const answer = await this.ask(fetchRequest(this.nextId(), topic, partition, offset, limits));
    const at = 4 + 4 + 4 + 2 + answer.readInt16BE(12) + 4 + 4;
    const code = answer.readInt16BE(at);
    if (code !== 0) throw new Refused(`to read ${topic}-${partition} at ${offset}`, code);
    const aborted = Array.from({ length: Math.max(0, answer.readInt32BE(at + 18)) }, (_, i) => ({
      producerId: Number(answer.readBigInt64BE(at + 22 + i * 16)),
      firstOffset: Number(answer.readBigInt64BE(at + 30 + i * 16)),
    }));
    const size = Math.max(0, answer.readInt32BE(at + 22 + aborted.length * 16));
    const from = at + 26 + aborted.length * 16;
    return {
      highWatermark: Number(answer.readBigInt64BE(at + 2)),
      lastStableOffset: Number(answer.readBigInt64BE(at + 10)),
      aborted,
      batches: readBatches(answer.subarray(from, from + size)),
    };
  }
}
