/** Every bound that a client can reach, reached; and whether others are served meanwhile. */
import { afterEach, describe, expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { type Call, handler } from "../handlers/handler.ts";
import { api, array, string } from "../protocol/schema.ts";
import { type Client, Echo, frame, int32Bytes, Rig, request, until } from "./frontend-rig.ts";

const ECHO = 100;
const PIPED = 101;
const MIB = 1 << 20;

let rig: Rig;
const start = (...args: ConstructorParameters<typeof Rig>): Rig => {
  rig = new Rig(...args);
  return rig;
};
afterEach(() => rig.close());

const clients = (count: number): Promise<Client[]> => Promise.all(Array.from({ length: count }, () => rig.client()));

/** A client that is served within the time that a person would call at once; gives the longest wait in ms. */
async function isServed(client: Client, times = 20, bytes = 1000): Promise<number> {
  let longestMs = 0;
  for (let i = 0; i < times; i++) {
    const beganMs = performance.now();
    client.send(request(i % 2 === 0 ? ECHO : PIPED, i, "", Buffer.alloc(bytes)));
    await client.answered(client.answers.length + 1);
    longestMs = Math.max(longestMs, performance.now() - beganMs);
    await Bun.sleep(2);
  }
  return longestMs;
}

describe("time", () => {
  test("a request that stays unfinished is closed in time, also when it drips", async () => {
    const [silent, dripping, other] = [await start({ requestTimeoutMs: 300 }).client(), await rig.client(), await rig.client()];
    const beganMs = performance.now();
    silent.send(request(ECHO, 1).subarray(0, 9));
    dripping.send(int32Bytes(100 * MIB));
    const drip = setInterval(() => dripping.send(Buffer.alloc(10)), 20);
    await Promise.all([silent.closed(), dripping.closed()]);
    clearInterval(drip);
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(300);
    expect(performance.now() - beganMs).toBeLessThan(900);
    expect(rig.messages("info")).toEqual(Array(2).fill("connection closed: the rest of a request did not come in time"));
    expect(other.isClosed).toBe(false);
    expect(rig.heldBytes).toBe(0);
  });

  test("time in which we did not read does not count against the client", async () => {
    start({ requestTimeoutMs: 200, queuedRequestsPerConnection: 1 });
    const [finishing, silent] = await clients(2);
    const second = request(ECHO, 2, "", Buffer.from("second"));
    finishing!.send(request(ECHO, 1, "hold"), second.subarray(0, 10));
    silent!.send(request(ECHO, 11, "hold"), second.subarray(0, 10));
    await until(() => rig.held.size === 2, "the first ones to begin");
    await Bun.sleep(500);
    for (const id of [1, 11]) rig.release(id);
    await Promise.all([finishing!.answered(1), silent!.answered(1)]);
    await Bun.sleep(100);
    finishing!.send(second.subarray(10));
    await finishing!.answered(2);
    expect([finishing!.isClosed, silent!.isClosed]).toEqual([false, false]);
    await silent!.closed(); // from now on it did count
  });

  test("an idle connection is closed; one that is used, or waits for an answer, is not", async () => {
    const [idle, used, waiting] = [await start({ connectionsMaxIdleMs: 300 }).client(), await rig.client(), await rig.client()];
    waiting.send(request(ECHO, 1, "hold"));
    for (let i = 0; i < 10; i++) {
      used.send(request(ECHO, i));
      await Bun.sleep(60);
    }
    expect([idle.isClosed, used.isClosed, waiting.isClosed]).toEqual([true, false, false]);
    expect(rig.messages("info")).toEqual(["connection closed: idle"]);
    rig.held.get(1)!.silence();
    await Bun.sleep(100);
    expect(waiting.isClosed).toBe(false);
    await Promise.all([used.closed(), waiting.closed()]);
  });
});

describe("numbers", () => {
  test("of connections", async () => {
    start({ maxConnections: 3 });
    const open = await clients(3);
    const tooMany = await rig.client();
    await tooMany.closed();
    expect(rig.lines.filter(({ level }) => level === "warn")).toMatchObject([{ message: "connection refused" }]);
    open[0]!.close();
    await until(() => rig.frontend.connections.count === 2, "a place");
    await isServed(await rig.client(), 1);
    await isServed(open[1]!, 1);
  });

  test("of connections from one address", async () => {
    start({ maxConnectionsPerIp: 2 });
    const open = await clients(2);
    await (await rig.client()).closed();
    open[1]!.reset();
    await until(() => rig.frontend.connections.count === 1, "a place");
    await isServed(await rig.client(), 1);
  });

  test("of requests that wait: no more is read", async () => {
    const client = await start({ queuedRequestsPerConnection: 4 }).client();
    const payload = Buffer.alloc(20_000, "p");
    client.send(request(ECHO, 0, "hold"), ...Array.from({ length: 2000 }, (_, i) => request(ECHO, i + 1, "", payload)));
    await until(() => rig.held.has(0), "the first to begin");
    await Bun.sleep(300);
    expect(client.unsent).toBeGreaterThan(10 * MIB); // 40 MB were to be sent
    expect(rig.mostHeldBytes).toBeLessThan(3 * 512 * 1024); // one read, and what it is cut into
    rig.release(0);
    await client.answered(2001);
    expect(client.answers.map(({ correlationId }) => correlationId)).toEqual(Array.from({ length: 2001 }, (_, i) => i));
  });

  test("of requests that overlap", async () => {
    const client = await start({ queuedRequestsPerConnection: 4 }).client();
    client.send(...Array.from({ length: 10 }, (_, i) => request(PIPED, i, "hold")));
    await until(() => rig.begun.length === 4, "four to begin");
    await Bun.sleep(50);
    expect(rig.begun).toEqual([0, 1, 2, 3]);
    for (let i = 0; i < 10; i++) {
      await until(() => rig.held.has(i), `${i} to begin`);
      rig.release(i);
    }
    await client.answered(10);
  });
});

describe("a client that does not read", () => {
  test.each([ECHO, PIPED])("holds little, while others are served, and gets everything once it reads (key %d)", async (key) => {
    const [client, other] = [await start().client(), await rig.client()];
    client.stopReading();
    client.send(...Array.from({ length: 50 }, (_, i) => request(key, i, "big", Buffer.alloc(0), MIB)));
    await until(() => rig.heldBytes > 100_000, "the system to take no more");
    expect(await isServed(other)).toBeLessThan(200);
    expect(rig.begun.length - 20).toBeLessThan(12); // what the system's buffers took, and one
    expect(rig.mostHeldBytes).toBeLessThan(2 * MIB + 64 * 1024); // an answer that is nearly sent, the next one, and requests
    client.startReading();
    await client.answered(50);
    expect(client.answers.every(({ body }) => body.length === MIB + 6 && body[6] === 0x78 && body.at(-1) === 0x78)).toBe(true);
    await until(() => rig.heldBytes === 0, "all memory to come back");
  });

  test("is not read from either", async () => {
    const client = await start().client();
    client.stopReading();
    client.send(request(ECHO, 0, "big", Buffer.alloc(0), 20 * MIB));
    await until(() => rig.heldBytes > MIB, "the system to take no more");
    client.send(...Array.from({ length: 40 }, (_, i) => request(ECHO, i + 1, "", Buffer.alloc(MIB))));
    await Bun.sleep(200);
    expect(client.unsent).toBeGreaterThan(20 * MIB);
    expect(rig.heldBytes).toBeLessThan(21 * MIB);
    client.startReading();
    await client.answered(41);
  });

  test("a large answer to a slow reader goes out whole, in order with the next", async () => {
    const client = await start().client();
    client.stopReading();
    client.send(request(ECHO, 1, "big", Buffer.alloc(0), 30 * MIB), request(ECHO, 2, "", Buffer.from("next")));
    for (let i = 0; client.answers.length < 2 && i < 2000; i++) {
      client.startReading();
      await Bun.sleep(1);
      client.stopReading();
    }
    expect(client.answers.map(({ correlationId, body }) => [correlationId, body.length])).toEqual([
      [1, 30 * MIB + 6],
      [2, 10],
    ]);
  });
});

describe("memory", () => {
  test("many that do not read: it stays within the budget, others are served, the stalled are closed", async () => {
    const clock = new FakeClock();
    const budget = 32 * MIB;
    const other = await start({ requestBufferBytes: budget }, [], clock).client();
    const hogs = await clients(40);
    for (const hog of hogs) {
      hog.stopReading();
      hog.send(...Array.from({ length: 20 }, (_, i) => request(ECHO, i, "room", Buffer.alloc(0), 8 * MIB)));
    }
    await Bun.sleep(300);
    expect(rig.heldBytes).toBeGreaterThan(budget / 4);
    expect(rig.mostHeldBytes).toBeLessThan(budget);
    expect(await isServed(other)).toBeLessThan(200);
    await clock.advance(7000);
    const lines = rig.messages("info");
    expect(lines.length).toBeGreaterThan(0);
    expect(new Set(lines)).toEqual(
      new Set(["connection closed: memory is short, and the client neither reads nor sends the rest"]),
    );
    expect(rig.heldBytes).toBeLessThanOrEqual(budget / 2);
    expect(await isServed(other)).toBeLessThan(200);
  });

  test("answers that cannot be cut: those who hold most for longest are closed at once", async () => {
    const budget = 16 * MIB;
    const other = await start({ requestBufferBytes: budget }).client();
    const hogs = await clients(20);
    for (const hog of hogs) {
      hog.stopReading();
      hog.send(request(ECHO, 1, "big", Buffer.alloc(0), 8 * MIB));
    }
    await until(() => rig.messages("info").length > 0, "some to be closed");
    await until(() => rig.heldBytes <= budget, "memory to be within the budget");
    expect(rig.messages("info")[0]).toContain("server.request_buffer_bytes is exceeded");
    expect(await isServed(other)).toBeLessThan(200);
    expect(other.isClosed).toBe(false);
  });

  test("many unfinished requests: within the budget, small ones pass, and all are gone after the time-out", async () => {
    const budget = 32 * MIB;
    const limits = { requestBufferBytes: budget, socketRequestMaxBytes: 24 * MIB, requestTimeoutMs: 1500 };
    const other = await start(limits).client();
    const hogs = await clients(60);
    for (const hog of hogs) hog.send(int32Bytes(24 * MIB), Buffer.alloc(3 * MIB));
    await until(() => rig.heldBytes > budget / 2, "the hogs to hold much");
    await Bun.sleep(300); // more is not taken
    expect(rig.mostHeldBytes).toBeLessThan(budget * 1.25 + 24 * MIB + MIB / 2); // the budget, one turn's request, one read
    expect(await isServed(other, 20, 20_000)).toBeLessThan(200);
    await Promise.all(hogs.map((hog) => hog.closed()));
    await until(() => rig.heldBytes === 0, "all memory to come back");
    expect(other.isClosed).toBe(false);
  });

  test("large requests that together exceed the budget all come through, in turns", async () => {
    start({ requestBufferBytes: 16 * MIB, socketRequestMaxBytes: 12 * MIB });
    const large = await clients(8);
    const payload = Buffer.alloc(10 * MIB, "l");
    for (const client of large) client.send(request(PIPED, 1, "silence", payload), request(ECHO, 2));
    await Promise.all(large.map((client) => client.answered(1)));
    expect(rig.mostHeldBytes).toBeLessThan(16 * MIB + 12 * MIB);
    await until(() => rig.heldBytes === 0, "all memory to come back");
    expect(rig.messages("info")).toEqual([]);
  });

  test("a silent client loses its turn, and the others come through", async () => {
    const clock = new FakeClock();
    start({ requestBufferBytes: 16 * MIB, socketRequestMaxBytes: 12 * MIB }, [], clock);
    const silent = await clients(3);
    for (const client of silent) client.send(int32Bytes(11 * MIB), Buffer.alloc(10 * MIB));
    await clock.advance(100);
    await Bun.sleep(100);
    const large = await rig.client();
    large.send(request(ECHO, 1, "silence", Buffer.alloc(11 * MIB)), request(ECHO, 2));
    for (let i = 0; large.answers.length < 1 && i < 600; i++) await clock.advance(50);
    expect(large.answers.length).toBe(1);
    expect(rig.messages("info").length).toBeGreaterThan(0);
  });

  test("a request counts until it is answered or released, its decoded items too", async () => {
    const Items = api({ ...Echo, key: 102, request: { items: array({ name: string() }) } });
    let held: Call<typeof Items> | null = null;
    const hold = handler<typeof Items>({
      api: Items,
      served: "1-1",
      handle(call) {
        held = call;
      },
      onError: (error) => ({ errorCode: error.code, payload: Buffer.alloc(0) }),
    });
    const client = await start({}, [hold]).client();
    const header = Buffer.from([0, 102, 0, 1, 0, 0, 0, 1, 255, 255]);
    client.send(frame(Buffer.concat([header, int32Bytes(1000), Buffer.alloc(2000)]))); // a thousand empty names
    await until(() => held !== null, "it to begin");
    expect(rig.heldBytes).toBeGreaterThan(50_000);
    held!.releaseRequest();
    await until(() => rig.heldBytes === 0, "a released request to count no more");
    held!.reply({ errorCode: 0, payload: Buffer.alloc(0) });
    await client.answered(1);
    expect(rig.heldBytes).toBe(0);
  });
});

describe("the end", () => {
  test("what has begun is answered, what has not is not, idle connections close, new ones are refused", async () => {
    const [busy, idle] = [await start().client(), await rig.client()];
    busy.send(request(PIPED, 1, "hold"), request(PIPED, 2, "hold"), request(ECHO, 3));
    await until(() => rig.held.size === 2, "two to begin");
    rig.frontend.end(5000);
    await idle.closed();
    await expect(rig.client()).rejects.toThrow();
    expect(busy.isClosed).toBe(false);
    rig.release(2);
    rig.release(1);
    await busy.closed();
    expect(busy.answers.map(({ correlationId }) => correlationId)).toEqual([1, 2]);
    expect(rig.begun).toEqual([1, 2]);
    expect(rig.frontend.connections.count).toBe(0);
  });

  test("a connection that takes too long is closed", async () => {
    const [held, unread] = [await start().client(), await rig.client()];
    held.send(request(ECHO, 1, "hold"));
    unread.stopReading();
    unread.send(request(ECHO, 2, "big", Buffer.alloc(0), 30 * MIB));
    await until(() => rig.begun.length === 2, "both to begin");
    const beganMs = performance.now();
    rig.frontend.end(200);
    await until(() => rig.frontend.connections.count === 0, "both to be closed");
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(200);
    expect(performance.now() - beganMs).toBeLessThan(1000);
    expect(rig.heldBytes).toBeLessThan(100); // the held call's own
  });

  test("drained: answers are sent, what nobody answers is given up at once, and who does not read gets so long", async () => {
    const [held, reading, unread] = [await start().client(), await rig.client(), await rig.client()];
    held.send(request(PIPED, 1), request(PIPED, 2, "hold"));
    await held.answered(1);
    for (const client of [reading, unread]) {
      client.stopReading();
      client.send(request(ECHO, 3, "big", Buffer.alloc(0), 20 * MIB));
    }
    await until(() => rig.begun.length === 4, "all to begin");
    rig.frontend.end(5000);
    const beganMs = performance.now();
    const drained = rig.frontend.drained(1500);
    reading.startReading();
    await reading.answered(1);
    await Promise.all([held.closed(), reading.closed()]);
    expect(performance.now() - beganMs).toBeLessThan(1200);
    await drained;
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(1500);
    expect(rig.frontend.connections.count).toBe(1);
  });

  test("quiet: no request is worked on", async () => {
    const client = await start().client();
    client.send(request(ECHO, 1, "hold"));
    await until(() => rig.held.has(1), "it to begin");
    rig.frontend.end(5000);
    let isQuiet = false;
    const quiet = rig.frontend.quiet(5000).then(() => {
      isQuiet = true;
    });
    await Bun.sleep(50);
    expect(isQuiet).toBe(false);
    rig.release(1);
    await quiet;
    await client.answered(1);
  });
});
