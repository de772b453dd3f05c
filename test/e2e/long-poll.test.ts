/** When a fetch is answered: at once, when there is enough, or when its time is up. */

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target } from "../support/target.ts";
import { sleep, until } from "../support/until.ts";
import { batch, fetchAnswer, fetchRequest, produceRequest, request, WireConnection } from "../support/wire.ts";

let target: Target;
let driver: Driver;
let topics = 0;
let topic = "";
const connections: WireConnection[] = [];

beforeAll(async () => {
  target = await startTarget();
  driver = franzGo.start(target.bootstrap);
  await driver.createTopic("warm", 1);
  await driver.produce("warm", [{ value: "up" }]);
});
afterAll(async () => {
  await driver?.close();
  await target?.destroy();
});
afterEach(() => {
  for (const connection of connections.splice(0)) connection.end();
});

/** A new topic of one partition, and a connection. */
async function bench(): Promise<WireConnection> {
  topic = `poll-${++topics}`;
  await driver.createTopic(topic, 1);
  const connection = await open();
  await until("the partition to be led", async () => {
    connection.send(fetchRequest(0, topic, 0, 0, { maxWaitMs: 0 }));
    return fetchAnswer(await connection.next()).error === 0;
  });
  return connection;
}

async function open(): Promise<WireConnection> {
  const connection = await WireConnection.open(target.port);
  connections.push(connection);
  return connection;
}

/** Sends one request and says how long its answer took. */
async function timed(c: WireConnection, frame: Buffer): Promise<{ tookMs: number; answer: Buffer }> {
  const beganMs = performance.now();
  c.send(frame);
  const answer = await c.next();
  return { tookMs: performance.now() - beganMs, answer };
}

async function produce(value: string): Promise<void> {
  const c = await open();
  c.send(produceRequest(3, 1, topic, 0, -1, batch(value)));
  await c.next();
}

test("nothing to read: answered when the time is up, with records that are empty and not null", async () => {
  const c = await bench();
  const { tookMs, answer } = await timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 400 }));
  expect(fetchAnswer(answer)).toEqual({ id: 1, error: 0, highWatermark: 0, records: Buffer.alloc(0) });
  expect(tookMs).toBeWithin(390, 900);
});

test("with no time to wait it is answered at once", async () => {
  const c = await bench();
  const { tookMs, answer } = await timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 0 }));
  expect(fetchAnswer(answer).records).toHaveLength(0);
  expect(tookMs).toBeLessThan(200);
});

test("a waiting fetch is answered as soon as a record is there", async () => {
  const c = await bench();
  const waiting = timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 5000 }));
  await sleep(200);
  await produce("at last");
  const { tookMs, answer } = await waiting;
  expect(tookMs).toBeWithin(190, 1500);
  const { records, highWatermark } = fetchAnswer(answer);
  expect(highWatermark).toBe(1);
  expect(records!.includes("at last")).toBe(true);
});

test("several waiting fetches are answered by one record", async () => {
  const cs = [await bench(), await open(), await open()];
  const waiting = cs.map((c) => timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 5000 })));
  await sleep(100);
  await produce("to all");
  for (const { tookMs, answer } of await Promise.all(waiting)) {
    expect(tookMs).toBeLessThan(1500);
    expect(fetchAnswer(answer).records!.includes("to all")).toBe(true);
  }
});

test("it waits until there are min_bytes, counted over all that came", async () => {
  const c = await bench();
  const size = batch("0123456789").length;
  const waiting = timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 5000, minBytes: 3 * size }));
  for (let i = 0; i < 3; i++) {
    await sleep(150);
    await produce("0123456789");
  }
  const { tookMs, answer } = await waiting;
  expect(tookMs).toBeWithin(440, 2000);
  expect(fetchAnswer(answer).records).toHaveLength(3 * size);
});

test("min_bytes not reached: what there is comes when the time is up", async () => {
  const c = await bench();
  await produce("little");
  const { tookMs, answer } = await timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 300, minBytes: 100_000 }));
  expect(tookMs).toBeWithin(290, 900);
  expect(fetchAnswer(answer).records!.includes("little")).toBe(true);
});

test("a first batch that is larger than max_bytes comes whole", async () => {
  const c = await bench();
  await driver.produce(topic, [{ partition: 0, value: "x".repeat(50_000) }]);
  await produce("second");
  const { answer } = await timed(c, fetchRequest(1, topic, 0, 0, { maxWaitMs: 1000, maxBytes: 1000 }));
  const { records } = fetchAnswer(answer);
  expect(records!.length).toBeGreaterThan(50_000);
  expect(records!.includes("second")).toBe(false);
});

test("a fetch from the middle of a batch gets the batch whole", async () => {
  const c = await bench();
  await driver.produce(
    topic,
    Array.from({ length: 10 }, (_, i) => ({ partition: 0, value: `in one batch ${i}` })),
  );
  const end = (await driver.offsets(topic, 1, "latest"))[0]!;
  expect(end).toBe(10);
  const { answer } = await timed(c, fetchRequest(1, topic, 0, 9, { maxWaitMs: 1000 }));
  const { records } = fetchAnswer(answer);
  expect(Number(records!.readBigInt64BE(0))).toBeLessThanOrEqual(9);
  expect(records!.includes("in one batch 9")).toBe(true);
});

test.each([
  ["beyond the end", 5],
  ["negative", -7],
])("an offset that is %s is out of range, at once", async (_, offset) => {
  const c = await bench();
  const { tookMs, answer } = await timed(c, fetchRequest(1, topic, 0, offset, { maxWaitMs: 5000 }));
  expect(fetchAnswer(answer).error).toBe(1);
  expect(tookMs).toBeLessThan(500);
});

test("an unknown partition is told at once", async () => {
  const c = await bench();
  const { tookMs, answer } = await timed(c, fetchRequest(1, topic, 7, 0, { maxWaitMs: 5000 }));
  expect(fetchAnswer(answer).error).toBe(3);
  expect(tookMs).toBeLessThan(500);
});

test("what is sent behind a waiting fetch is answered after it", async () => {
  const c = await bench();
  c.send(fetchRequest(1, topic, 0, 0, { maxWaitMs: 400 }), request(18, 0, 2), fetchRequest(3, topic, 0, 0, { maxWaitMs: 0 }));
  expect([await c.next(), await c.next(), await c.next()].map((answer) => answer.readInt32BE(0))).toEqual([1, 2, 3]);
});

test("a client that goes while its fetch waits leaves nothing behind that harms others", async () => {
  const gone = await bench();
  gone.send(fetchRequest(1, topic, 0, 0, { maxWaitMs: 3000 }));
  await sleep(100);
  gone.end();
  await produce("for others");
  const { answer } = await timed(await open(), fetchRequest(1, topic, 0, 0, { maxWaitMs: 3000 }));
  expect(fetchAnswer(answer).records!.includes("for others")).toBe(true);
});
