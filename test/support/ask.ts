/** Requests of every API by hand, through the codecs that the golden tests hold against Kafka's: for what no client says. */
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { requestCodec, responseCodec } from "../../src/protocol/compile.ts";
import { type AnyApi, covers, type RequestInput, type Response } from "../../src/protocol/schema.ts";
import { request, WireConnection } from "./wire.ts";

/** One connection, one request at a time. */
export class Asker {
  readonly #connection: WireConnection;
  #correlationId = 0;

  private constructor(connection: WireConnection) {
    this.#connection = connection;
  }

  static async open(port: number): Promise<Asker> {
    return new Asker(await WireConnection.open(port));
  }

  async ask<A extends AnyApi>(api: A, version: number, body: RequestInput<A>): Promise<Response<A>> {
    const isFlexible = covers(api.flexible, version);
    const writer = new Writer(256);
    if (isFlexible) writer.uvarint(0); // the header's tags
    requestCodec(api, version).encode(writer, body);
    this.#connection.send(request(api.key, version, ++this.#correlationId, Buffer.from(writer.finishOne())));
    const answer = await this.#connection.next(30_000);
    if (answer.readInt32BE(0) !== this.#correlationId) throw new Error("an answer to another request");
    return responseCodec(api, version).decode(new Reader(answer, isFlexible ? 5 : 4)) as Response<A>;
  }

  end(): void {
    this.#connection.end();
  }
}
