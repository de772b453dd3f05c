/**
 * A whole broker without sockets: the real handlers, log, metadata and coordinators on a simulated disk and clock. Requests go in as
 * decoded values and are encoded and decoded again on both ways, so that what a test sees is what a client would.
 */
import { silentLogger } from "../../src/base/logger.ts";
import { Broker } from "../../src/broker/broker.ts";
import { type Chunk, isStored, releaseChunks } from "../../src/bytes/chunks.ts";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { defaultServerConfig, type ServerConfig } from "../../src/config/server-options.ts";
import type { Call, Handler } from "../../src/handlers/handler.ts";
import { handlers } from "../../src/handlers/index.ts";
import { requestCodec, responseCodec } from "../../src/protocol/compile.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { type AnyApi, parseVersions, type RequestInput, type Response } from "../../src/protocol/schema.ts";
import { type Unpacker, unpackBatch, unpackerClosed } from "../../src/record/unpack-batch.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeDisk } from "./fake-disk.ts";
import { SeededRandom } from "./seeded-random.ts";

const handlerOf = new Map<number, Handler>(handlers.map((handler) => [handler.api.key, handler]));

/** All bytes of an answer, as a socket would get them: what lies in files is read now, if it can be without waiting. */
function sentNow(chunks: readonly Chunk[]): Buffer[] | null {
  const bytes: Buffer[] = [];
  for (const chunk of chunks) {
    const into = Buffer.alloc(chunk.byteLength);
    if (!isStored(chunk)) into.set(chunk);
    else if (chunk.readHot(into, 0) !== into.length) return null;
    bytes.push(into);
  }
  return bytes;
}

/** The same, from the disk. */
export async function sent(chunks: readonly Chunk[]): Promise<Buffer[]> {
  const bytes: Buffer[] = [];
  for (const chunk of chunks) {
    const into = Buffer.alloc(chunk.byteLength);
    if (!isStored(chunk)) into.set(chunk);
    else if ((await chunk.readCold(into, 0)) !== into.length) throw new Error("an answer's file has lost its end");
    bytes.push(into);
  }
  return bytes;
}

/** What came of a request. `silent`: it ended without an answer. `dropped`: by closing the connection. */
export interface Asked<A extends AnyApi> {
  response: Response<A> | null;
  silent: boolean;
  dropped: string | null;
  /** Resolves when the call has ended. */
  readonly ended: Promise<void>;
}

export class BrokerWorld {
  readonly random: SeededRandom;
  readonly clock = new FakeClock();
  readonly disk: FakeDisk;
  readonly config: ServerConfig;
  /** A new one for each life of the broker. */
  connection = {
    id: 1,
    remoteAddress: "10.0.0.2",
    localAddress: "10.0.0.1",
    localPort: 9092,
    closed: false,
    clientSoftwareName: "",
    clientSoftwareVersion: "",
  };
  /** Of the requests that are sent. */
  clientId = "test";
  broker!: Broker;
  fatal: unknown = null;
  /** What the server's memory would allow an answer. */
  answerRoomBytes = Number.MAX_SAFE_INTEGER;
  /** How likely it is that a batch is unpacked off the loop, and how long that takes at most. */
  unpacking = { laterChance: 0, maxMs: 20 };
  /** Told of errors that no request may end with. */
  onUnexpected: (error: unknown) => void = (error) => {
    throw error;
  };
  /** Grows with every start and crash: what an earlier life still says means nothing. */
  lives = 0;

  constructor(seed: number, config: Partial<ServerConfig> = {}, { hasSyncFileSystem = true } = {}) {
    this.random = new SeededRandom(seed);
    this.disk = new FakeDisk({ random: this.random, clock: this.clock, hasSyncFileSystem, hotChance: 0.7 });
    this.config = defaultServerConfig({
      dataDir: "/data",
      logSegmentBytes: 20_000,
      groupInitialRebalanceDelayMs: 0,
      offsetsTopicNumPartitions: 4,
      ...config,
    });
  }

  async start(): Promise<void> {
    const { config, clock, disk, random } = this;
    const life = ++this.lives;
    this.connection = { ...this.connection };
    const onFatal = (error: unknown): void => {
      if (life === this.lives) this.fatal = error; // a dead broker's last calls mean nothing
    };
    const unpacker = this.unpacker();
    this.broker = await clock.run(Broker.open({ config, clock, disk, random, unpacker, logger: silentLogger, onFatal }));
  }

  /** As the thread of a running broker: in order, each at some time. */
  private unpacker(): Unpacker {
    const random = new SeededRandom(this.lives);
    let last: Promise<unknown> = Promise.resolve();
    let giveUp = (): void => {};
    const closed = new Promise<never>((_, reject) => {
      giveUp = () => reject(unpackerClosed());
    });
    closed.catch(() => {});
    return {
      unpack: (job) => {
        if (!random.chance(this.unpacking.laterChance)) return unpackBatch(job);
        const pause = () => new Promise<void>((resolve) => this.clock.schedule(random.int(this.unpacking.maxMs), resolve));
        const done = Promise.race([closed, last.then(pause)]).then(() => unpackBatch(job));
        last = done.catch(() => {});
        return done;
      },
      close: () => giveUp(),
    };
  }

  async stop(): Promise<void> {
    await this.clock.run(this.broker.close());
  }

  crash(how: "kill" | "power"): void {
    if (how === "kill") this.disk.kill();
    else this.disk.cutPower();
    this.clock.reset();
    this.lives++;
  }

  /** Sends a request; its answer is in the result once it came. */
  send<A extends AnyApi>(api: A, version: number, request: RequestInput<A>): Asked<A> {
    const handler = handlerOf.get(api.key)!;
    const life = this.lives;
    const lifeNow = (): number => this.lives;
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const asked: Asked<A> = { response: null, silent: false, dropped: null, ended };
    const writer = new Writer();
    requestCodec(api, version).encode(writer, request);
    const call: Call<A> = {
      broker: this.broker,
      connection: this.connection,
      api,
      version,
      clientId: this.clientId,
      answerRoomBytes: this.answerRoomBytes,
      request: requestCodec(api, version).decode(new Reader(Buffer.from(writer.finishOne()))) as Call<A>["request"],
      reply(response) {
        const answer = new Writer();
        responseCodec(api, version).encode(answer, response);
        const chunks = answer.finish();
        const arrive = (bytes: readonly Buffer[]): void => {
          releaseChunks(chunks);
          asked.response = responseCodec(api, version).decode(new Reader(Buffer.concat(bytes))) as Response<A>;
          end();
        };
        const now = sentNow(chunks);
        if (now !== null) return arrive(now);
        const late = sent(chunks);
        late.then((bytes) => {
          if (life === lifeNow()) arrive(bytes);
        });
        late.catch((error) => {
          releaseChunks(chunks);
          asked.dropped = String(error);
          end();
        });
      },
      fail: (error) => {
        if (life !== this.lives) return; // a dead broker's last words
        if (!(error instanceof KafkaError)) return this.onUnexpected(error);
        call.reply(handler.onError(error, call as unknown as Call<AnyApi>) as Parameters<Call<A>["reply"]>[0]);
      },
      silence() {
        asked.silent = true;
        end();
      },
      drop(reason) {
        asked.dropped = reason;
        end();
      },
      releaseRequest() {},
    };
    try {
      const work = handler.handle(call as unknown as Call<AnyApi>);
      if (work instanceof Promise) work.catch((error) => call.fail(error));
    } catch (error) {
      call.fail(error);
    }
    return asked;
  }

  /** Sends a request in its newest version and moves time on until it is answered. */
  async ask<A extends AnyApi>(api: A, request: RequestInput<A>, version = newest(api)): Promise<Response<A>> {
    const asked = this.send(api, version, request);
    await this.clock.run(asked.ended);
    if (asked.response === null) throw new Error(`${api.name} was not answered: ${asked.dropped ?? "silence"}`);
    return asked.response;
  }
}

export const newest = (api: AnyApi): number => parseVersions(handlerOf.get(api.key)!.served)!.max;
