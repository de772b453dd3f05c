/** For tests: a frontend on a real loopback socket with two made-up APIs, and clients that speak raw bytes. */
import type { LogFields, Logger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { type Call, type Handler, handler } from "../handlers/handler.ts";
import { type Clock, realClock } from "../io/clock.ts";
import { realNet } from "../io/net.ts";
import { api, bytes, int16, int32, string } from "../protocol/schema.ts";
import type { CallImpl } from "./call.ts";
import { Frontend } from "./frontend.ts";

/** "do" says what the handler does; the answer carries the payload back, or `size` bytes of "x". */
const fields = {
  request: { do: string(), size: int32(), payload: bytes() },
  response: { errorCode: int16(), payload: bytes() },
};
export const Echo = api({ key: 100, name: "Echo", declared: "0-3", flexible: "none", ...fields });
export const PipedEcho = api({ key: 101, name: "PipedEcho", declared: "0-3", flexible: "none", ...fields });

type EchoCall = Call<typeof Echo> & Pick<CallImpl, "answerRoomBytes" | "whenAbandoned">;

/** One answer as it came: what stands behind the correlation id is the body. */
export interface Answer {
  readonly correlationId: number;
  readonly body: Buffer;
}

/** A request frame of Echo or PipedEcho, by hand. */
export function request(
  key: number,
  correlationId: number,
  action = "",
  payload: Uint8Array = Buffer.alloc(0),
  size = 0,
): Buffer {
  const head = Buffer.from([0, key, 0, 1, ...int32Bytes(correlationId), 0, 4, 0x74, 0x65, 0x73, 0x74]); // version 1, client id "test"
  const body = [Buffer.from([0, action.length]), Buffer.from(action), int32Bytes(size), int32Bytes(payload.length), payload];
  return frame(Buffer.concat([head, ...body.map((part) => Buffer.from(part))]));
}

export const frame = (bytes: Uint8Array): Buffer => Buffer.concat([int32Bytes(bytes.length), bytes]);

export function int32Bytes(value: number): Buffer {
  const written = Buffer.alloc(4);
  written.writeInt32BE(value);
  return written;
}

export class Client {
  readonly answers: Answer[] = [];
  received = 0;
  isClosed = false;
  private rest: Buffer[] = [];
  private restBytes = 0;
  private wantedBytes = 4;
  private toSend: Buffer = Buffer.alloc(0);
  private socket!: Bun.Socket<undefined>;
  localPort = 0;

  static async connect(port: number): Promise<Client> {
    const client = new Client();
    client.socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => client.take(chunk),
        drain: () => client.flush(),
        close: () => {
          client.isClosed = true;
        },
        error() {},
      },
    });
    client.socket.setNoDelay(true);
    client.localPort = client.socket.localPort;
    return client;
  }

  send(...parts: Uint8Array[]): this {
    this.toSend = Buffer.concat([this.toSend, ...parts]);
    this.flush();
    return this;
  }

  /** How much of what was sent is still in our hands: the system took no more. */
  get unsent(): number {
    return this.toSend.length;
  }

  stopReading(): void {
    this.socket.pause();
  }

  startReading(): void {
    this.socket.resume();
  }

  close(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.terminate();
  }

  /** Waits until `count` answers are there. */
  async answered(count: number): Promise<Answer[]> {
    await until(() => this.answers.length >= count, `${count} answers, there are ${this.answers.length}`);
    return this.answers;
  }

  async closed(): Promise<void> {
    await until(() => this.isClosed, "the connection to close");
  }

  private flush(): void {
    const taken = this.toSend.length === 0 ? 0 : this.socket.write(this.toSend);
    if (taken > 0) this.toSend = this.toSend.subarray(taken);
  }

  private take(chunk: Buffer): void {
    this.received += chunk.length;
    this.restBytes += chunk.length;
    this.rest.push(chunk);
    if (this.restBytes < this.wantedBytes) return;
    let bytes = Buffer.concat(this.rest);
    while (bytes.length >= 4 && bytes.length - 4 >= bytes.readInt32BE(0)) {
      const end = 4 + bytes.readInt32BE(0);
      this.answers.push({ correlationId: bytes.readInt32BE(4), body: Buffer.from(bytes.subarray(8, end)) });
      bytes = bytes.subarray(end);
    }
    this.rest = [bytes];
    this.restBytes = bytes.length;
    this.wantedBytes = bytes.length < 4 ? 4 : 4 + bytes.readInt32BE(0);
  }
}

export async function until(condition: () => boolean, what: string, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await Bun.sleep(1);
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** A running frontend. Ask `close` of it in the end. */
export class Rig {
  readonly lines: LogLine[] = [];
  readonly fatal: unknown[] = [];
  /** Calls that the handler was told to hold, by their correlation id. */
  readonly held = new Map<number, EchoCall>();
  /** Correlation ids in the order in which handlers saw them. */
  readonly begun: number[] = [];
  readonly abandoned: number[] = [];
  /** The most that was held at a time. */
  mostHeldBytes = 0;
  readonly frontend: Frontend;
  readonly port: number;
  private readonly clients: Client[] = [];

  constructor(changes: Partial<ServerConfig> = {}, more: readonly Handler[] = [], clock: Clock = realClock) {
    const config = defaultServerConfig({ logLevel: "debug", ...changes });
    this.frontend = new Frontend({
      config,
      logger: this.logger(),
      clock,
      net: realNet,
      broker: {} as Broker,
      handlers: [this.echo(Echo, false), this.echo(PipedEcho, true), ...more],
      affordableConnections: Number.POSITIVE_INFINITY,
      onFatal: (error) => this.fatal.push(error),
    });
    const { memory } = this.frontend;
    const account = memory.account.bind(memory);
    memory.account = (holder, bytes) => {
      account(holder, bytes);
      this.mostHeldBytes = Math.max(this.mostHeldBytes, memory.totalBytes);
    };
    this.port = this.frontend.listen({ name: "PLAINTEXT", host: "127.0.0.1", port: 0 }).port;
  }

  async client(): Promise<Client> {
    const client = await Client.connect(this.port);
    this.clients.push(client);
    return client;
  }

  get heldBytes(): number {
    return this.frontend.memory.totalBytes;
  }

  messages(level: string): string[] {
    return this.lines.filter((line) => line.level === level).map((line) => line.message);
  }

  /** Answers a held call with its payload. */
  release(correlationId: number): void {
    const call = this.held.get(correlationId)!;
    this.held.delete(correlationId);
    call.reply({ errorCode: 0, payload: call.request.payload });
  }

  close(): void {
    for (const client of this.clients) client.reset();
    this.frontend.abort();
    if (this.fatal.length > 0) throw this.fatal[0];
  }

  private echo(declared: typeof Echo, pipelined: boolean): Handler {
    return handler<typeof Echo>({
      api: declared,
      served: "1-2",
      pipelined,
      handle: (call) => this.handle(call as EchoCall),
      onError: (error) => ({ errorCode: error.code, payload: Buffer.alloc(0) }),
    });
  }

  private handle(call: EchoCall): void | Promise<void> {
    const { correlationId } = call as unknown as CallImpl;
    const { request } = call;
    this.begun.push(correlationId);
    call.whenAbandoned(() => this.abandoned.push(correlationId));
    switch (request.do) {
      case "hold":
        this.held.set(correlationId, call);
        return;
      case "throw":
        throw new TypeError("made to throw");
      case "reject":
        return Promise.reject(new TypeError("made to reject"));
      case "silence":
        return call.silence();
      case "drop":
        return call.drop("made to drop");
      case "big":
        return call.reply({ errorCode: 0, payload: Buffer.alloc(request.size, "x") });
      case "room":
        return call.reply({ errorCode: 0, payload: Buffer.alloc(Math.min(request.size, call.answerRoomBytes), "x") });
      default:
        return call.reply({ errorCode: 0, payload: request.payload });
    }
  }

  private logger(): Logger {
    const at = (level: string) => (message: string, fields?: LogFields) => {
      this.lines.push({ level, message, fields: fields ?? {} });
    };
    return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  }
}
