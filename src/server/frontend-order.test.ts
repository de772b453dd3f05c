/** Requests in, answers out: framing, order, what may overlap, what is refused. Bytes are made and read by hand. */
import { afterEach, describe, expect, test } from "bun:test";
import { BrokenInvariant } from "../base/assert.ts";
import { apiVersions } from "../handlers/18-api-versions.ts";
import { type Handler, handler } from "../handlers/handler.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Produce } from "../protocol/messages/00-produce.ts";
import { Echo, frame, int32Bytes, Rig, request, until } from "./frontend-rig.ts";

const ECHO = 100;
const PIPED = 101;
const OK = [0, 0];

let rig: Rig;
const start = (...args: ConstructorParameters<typeof Rig>): Rig => {
  rig = new Rig(...args);
  return rig;
};
afterEach(() => rig.close());

/** The body of an answer that carries `payload` back: int16 error, int32 length, bytes. */
const echoed = (payload: string): number[] => [...OK, ...int32Bytes(payload.length), ...Buffer.from(payload)];
const ids = (answers: readonly { correlationId: number }[]): number[] => answers.map((answer) => answer.correlationId);

describe("framing", () => {
  test("an answer has its request's correlation id and nothing before its body", async () => {
    const client = await start().client();
    client.send(request(ECHO, -77, "", Buffer.from("hello")));
    const [answer] = await client.answered(1);
    expect(answer!.correlationId).toBe(-77);
    expect([...answer!.body]).toEqual(echoed("hello"));
  });

  test("three requests, cut at every byte", async () => {
    const client = await start().client();
    const stream = Buffer.concat([1, 2, 3].map((id) => request(ECHO, id, "", Buffer.from(`payload ${id}`))));
    for (let cut = 1; cut < stream.length; cut++) {
      client.send(stream.subarray(0, cut));
      await Bun.sleep(0); // another segment
      client.send(stream.subarray(cut));
      await client.answered(3 * cut);
    }
    expect(client.answers.length).toBe(3 * (stream.length - 1));
    for (const [index, { correlationId, body }] of client.answers.entries()) {
      expect(correlationId).toBe((index % 3) + 1);
      expect([...body]).toEqual(echoed(`payload ${(index % 3) + 1}`));
    }
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });

  test("a request of 20 MiB arrives whole, and so does its answer", async () => {
    const client = await start().client();
    const payload = Buffer.alloc(20 << 20, "0123456789");
    client.send(request(ECHO, 1, "", payload));
    const [answer] = await client.answered(1);
    expect(answer!.body.subarray(6).equals(payload)).toBe(true);
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });

  test.each([
    ["a negative size", Buffer.from([255, 255, 255, 255])],
    ["a size above the limit", int32Bytes((100 << 20) + 1)],
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
    ["an empty frame", frame(Buffer.alloc(0))],
    ["a frame too short for a header", frame(Buffer.from([0, ECHO, 0, 1, 0, 0, 0]))],
    ["a body that ends early", frame(request(ECHO, 1, "", Buffer.from("hello")).subarray(4, -1))],
    ["a string longer than its frame", frame(Buffer.from([0, ECHO, 0, 1, 0, 0, 0, 1, 0x7f, 0xff]))],
    ["noise", frame(Buffer.from([0, ECHO, 0, 1, ...Buffer.alloc(60, 0x80)]))],
  ])("%s closes the connection with one line in the log, and nobody else's", async (_, bytes) => {
    const [client, other] = [await start().client(), await rig.client()];
    client.send(bytes);
    await client.closed();
    expect(client.answers).toEqual([]);
    expect(rig.messages("warn")).toEqual(["connection closed: malformed request"]);
    expect(rig.lines.find(({ level }) => level === "warn")!.fields.client).toBe(`127.0.0.1:${client.localPort}`);
    other.send(request(ECHO, 1));
    await other.answered(1);
    expect(rig.heldBytes).toBe(0);
  });

  test("what was asked before the garbage is answered before the close", async () => {
    const client = await start().client();
    client.send(request(PIPED, 1, "hold"), request(PIPED, 2), int32Bytes(-1), request(ECHO, 3));
    await until(() => rig.messages("warn").length === 1, "the garbage to be seen");
    expect(client.isClosed).toBe(false);
    rig.release(1);
    expect(ids(await client.answered(2))).toEqual([1, 2]);
    await client.closed();
    expect(rig.begun).toEqual([1, 2]);
  });

  test("a flood of malformed requests writes a bounded number of lines", async () => {
    start();
    for (let i = 0; i < 30; i++) {
      const client = await rig.client();
      client.send(int32Bytes(-1));
      await client.closed();
    }
    expect(rig.messages("warn").length).toBe(10);
  });
});

describe("order", () => {
  test("a request waits until the one before is answered", async () => {
    const client = await start().client();
    client.send(request(ECHO, 1, "hold"), request(PIPED, 2), request(ECHO, 3));
    await until(() => rig.held.has(1), "the first to begin");
    await Bun.sleep(20);
    expect(rig.begun).toEqual([1]);
    rig.release(1);
    expect(ids(await client.answered(3))).toEqual([1, 2, 3]);
    expect(rig.begun).toEqual([1, 2, 3]);
  });

  test("pipelined ones begin at once and are answered in order, whichever ends first", async () => {
    const client = await start().client();
    client.send(request(PIPED, 1, "hold"), request(PIPED, 2, "hold"), request(PIPED, 3), request(ECHO, 4), request(PIPED, 5));
    await until(() => rig.begun.length === 3, "three to begin");
    rig.release(2);
    await Bun.sleep(20);
    expect(client.answers).toEqual([]);
    expect(rig.begun).toEqual([1, 2, 3]); // 4 wants an empty connection
    rig.release(1);
    expect(ids(await client.answered(5))).toEqual([1, 2, 3, 4, 5]);
    expect(rig.begun).toEqual([1, 2, 3, 4, 5]);
  });

  test("a silent call leaves no gap", async () => {
    const client = await start().client();
    client.send(
      request(PIPED, 1, "hold"),
      request(PIPED, 2, "silence"),
      request(PIPED, 3),
      request(ECHO, 4, "silence"),
      request(ECHO, 5),
    );
    await until(() => rig.begun.length === 3, "three to begin");
    rig.release(1);
    expect(ids(await client.answered(3))).toEqual([1, 3, 5]);
  });

  test("a drop closes the connection after what was asked before, and before what came after", async () => {
    const client = await start().client();
    client.send(request(PIPED, 1, "hold"), request(PIPED, 2, "drop"), request(PIPED, 3, "hold"), request(PIPED, 4));
    await until(() => rig.begun.length === 4, "all to begin");
    expect(client.isClosed).toBe(false);
    rig.release(1);
    await client.closed();
    expect(ids(client.answers)).toEqual([1]);
    expect(rig.lines.find(({ level }) => level === "warn")).toMatchObject({
      message: "connection closed",
      fields: { reason: "made to drop" },
    });
    rig.release(3); // its connection is gone: nothing happens
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });

  test("after a drop, answers to what came later are not kept, even if the client does not read", async () => {
    const client = await start().client();
    client.stopReading();
    client.send(
      request(PIPED, 1, "hold", Buffer.alloc(20 << 20)),
      request(PIPED, 2, "drop"),
      request(PIPED, 3, "hold", Buffer.alloc(1 << 20)),
    );
    await until(() => rig.held.size === 2, "all to begin");
    rig.release(1);
    await until(() => rig.messages("warn").length === 1, "the drop");
    const before = rig.heldBytes;
    rig.release(3);
    await until(() => rig.heldBytes < before, "its request to be released");
    expect(rig.heldBytes).toBeLessThanOrEqual(before - (1 << 20));
    expect(client.isClosed).toBe(false);
  });

  test("ten thousand pipelined requests are all answered in order, while others get their turn", async () => {
    const [client, other] = [await start().client(), await rig.client()];
    client.send(...Array.from({ length: 10_000 }, (_, id) => request(id % 3 === 0 ? ECHO : PIPED, id)));
    await until(() => rig.begun.length > 0, "the flood to begin");
    other.send(request(ECHO, 123_456));
    await other.answered(1);
    expect(rig.begun.indexOf(123_456)).toBeLessThan(9_000);
    await client.answered(10_000);
    expect(ids(client.answers)).toEqual(Array.from({ length: 10_000 }, (_, id) => id));
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });

  test("a client that leaves is told to those who wait for it, and later answers go nowhere", async () => {
    const client = await start().client();
    client.send(request(PIPED, 1, "hold"), request(PIPED, 2, "hold"));
    await until(() => rig.held.size === 2, "both to begin");
    const call = rig.held.get(1)!;
    expect(call.connection.closed).toBe(false);
    client.close();
    await until(() => rig.abandoned.length === 2, "both to be abandoned");
    expect(call.connection.closed).toBe(true);
    rig.release(1);
    rig.release(2);
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });
});

describe("errors of handlers", () => {
  test.each(["throw", "reject"])("a handler that does %s: UNKNOWN_SERVER_ERROR, logged with its stack", async (action) => {
    const client = await start().client();
    client.send(request(ECHO, 1, action), request(ECHO, 2));
    const [first] = await client.answered(2);
    expect([...first!.body.subarray(0, 2)]).toEqual([255, 255]);
    const [line] = rig.lines.filter(({ level }) => level === "error");
    expect(String(line!.fields.stack)).toContain(`made to ${action}`);
    expect(line!.fields.clientId).toBe("test");
  });

  test("a KafkaError becomes the handler's own error answer, and no line", async () => {
    const client = await start({}, [failing(() => new KafkaError("INVALID_REQUEST", "no"))]).client();
    client.send(request(102, 1));
    const [answer] = await client.answered(1);
    expect([...answer!.body.subarray(0, 2)]).toEqual([0, 42]);
    expect(rig.messages("error")).toEqual([]);
  });

  test("a broken invariant is fatal", async () => {
    const client = await start({}, [failing(() => new BrokenInvariant("ours"))]).client();
    client.send(request(102, 1));
    await until(() => rig.fatal.length === 1, "the fatal error");
    expect(rig.fatal.splice(0)).toEqual([new BrokenInvariant("ours")]);
  });

  test("an answer that does not fit its type becomes an error answer, not a broken stream", async () => {
    const misfit = handler<typeof Echo>({
      api: { ...Echo, key: 102 },
      served: "1-1",
      handle: (call) => call.reply({ errorCode: 70_000, payload: Buffer.alloc(5000) }),
      onError: (error) => ({ errorCode: error.code, payload: Buffer.alloc(0) }),
    });
    const client = await start({}, [misfit]).client();
    client.send(request(102, 1), request(ECHO, 2, "", Buffer.from("after")));
    const [first, second] = await client.answered(2);
    expect([...first!.body]).toEqual([255, 255, 0, 0, 0, 0]);
    expect([...second!.body]).toEqual(echoed("after"));
  });
});

const failing = (error: () => Error): Handler =>
  handler<typeof Echo>({
    api: { ...Echo, key: 102 },
    served: "1-1",
    handle() {
      throw error();
    },
    onError: (known) => ({ errorCode: known.code, payload: Buffer.alloc(0) }),
  });

describe("what is not served", () => {
  const bare = [0, 35];
  const header = (key: number, version: number): number[] => [...int16(key), ...int16(version), 0, 0, 0, 9];
  const int16 = (value: number): number[] => [(value >> 8) & 255, value & 255];

  test.each([
    ["an unknown key", 4711, 0],
    ["a negative key", -1, 0],
    ["a key that Kafka has and we do not", 4, 3],
    ["a version below those served", ECHO, 0],
    ["a declared version above those served", ECHO, 3],
    ["a version that nobody declared", ECHO, 99],
    ["a negative version", ECHO, -1],
  ])("%s: correlation id and int16 35, and the connection lives on", async (_, key, version) => {
    const client = await start().client();
    client.send(frame(Buffer.from([...header(key, version), ...Buffer.alloc(30, 0xee)])), request(ECHO, 10));
    const [refused] = await client.answered(2);
    expect(refused!.correlationId).toBe(9);
    expect([...refused!.body]).toEqual(bare);
    expect(rig.messages("warn")).toEqual([]);
  });

  test("it keeps its place in the order", async () => {
    const client = await start().client();
    client.send(request(PIPED, 1, "hold"), frame(Buffer.from(header(4711, 0))), request(ECHO, 10));
    await until(() => rig.held.has(1), "the first to begin");
    rig.release(1);
    expect(ids(await client.answered(3))).toEqual([1, 9, 10]);
  });

  test("ApiVersions of any other version is answered in version 0 with 35 and its own range (KIP-511)", async () => {
    const client = await start({}, [apiVersions([])]).client();
    client.send(frame(Buffer.from([...header(18, 77), 0xff, 0xff, 0x00])), frame(Buffer.from([...header(18, -3)])));
    for (const { correlationId, body } of await client.answered(2)) {
      expect(correlationId).toBe(9);
      expect([...body]).toEqual([...bare, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]);
    }
  });

  describe("Produce with acks=0 has no answer, so it closes the connection", () => {
    const produce = handler<typeof Produce>({
      api: Produce,
      served: "3-8",
      pipelined: true,
      handle() {
        throw new KafkaError("NOT_LEADER_OR_FOLLOWER");
      },
      onError: () => ({ responses: [] }),
    });
    const clientId = [0, 1, 0x63];
    const before3 = (acks: number) => [...header(0, 2), ...clientId, ...int16(acks), 0, 0, 0, 0];
    const flexible = (version: number, acks: number, id: number[]) => [
      ...header(0, version),
      ...clientId,
      0,
      ...id,
      ...int16(acks),
    ];
    const served = (acks: number) => [...header(0, 3), ...clientId, 255, 255, ...int16(acks), 0, 0, 0, 0, 0, 0, 0, 0];

    test.each([
      ["version 2", before3(0)],
      ["version 9, without a transactional id", flexible(9, 0, [0])],
      ["version 14, with one", flexible(14, 0, [3, 0x74, 0x78])],
      ["a served version whose handler fails", served(0)],
    ])("%s", async (_, bytes) => {
      const client = await start({}, [produce]).client();
      client.send(request(ECHO, 1), frame(Buffer.from(bytes)), request(ECHO, 2));
      await client.closed();
      expect(ids(client.answers)).toEqual([1]);
      expect(rig.messages("warn")).toEqual(["connection closed"]);
    });

    test.each([
      ["version 2", before3(1)],
      ["version 9", flexible(9, -1, [0])],
      ["version 9, too short to tell", header(0, 9)],
    ])("but other acks are refused as any request: %s", async (_, bytes) => {
      const client = await start({}, [produce]).client();
      client.send(frame(Buffer.from(bytes)), request(ECHO, 2));
      const [refused] = await client.answered(2);
      expect([...refused!.body]).toEqual(bare);
    });

    test("and a served one that fails with acks=1 is answered", async () => {
      const client = await start({}, [produce]).client();
      client.send(frame(Buffer.from(served(1))));
      const [answer] = await client.answered(1);
      expect([...answer!.body]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]); // no topics, no throttle time
    });
  });

  test("more array items than allowed: malformed", async () => {
    const produce = handler<typeof Produce>({
      api: Produce,
      served: "3-3",
      handle: (call) => call.reply({ responses: [] }),
      onError: () => ({ responses: [] }),
    });
    const topics = (count: number) =>
      frame(
        Buffer.concat([
          Buffer.from([...header(0, 3), 255, 255, 255, 255, 0, 1, 0, 0, 0, 0]),
          int32Bytes(count),
          Buffer.alloc(count * 6), // name "", no partitions
        ]),
      );
    const client = await start({ maxRequestItems: 1000 }, [produce]).client();
    client.send(topics(1000));
    await client.answered(1);
    client.send(topics(1001));
    await client.closed();
    expect(rig.messages("warn")).toEqual(["connection closed: malformed request"]);
  });
});
