/** What the broker answers to requests that no client sends, and in which order it answers. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { batch, int16, int32, produceRequest, request, string, WireConnection } from "../support/wire.ts";

const UNSUPPORTED_VERSION = 35;
const API_VERSIONS = 18;

let target: Target;
let connection: WireConnection;

beforeAll(async () => {
  target = await startTarget();
  const driver = franzGo.start(target.bootstrap);
  await driver.createTopic("wire", 2);
  await driver.close();
});
afterAll(async () => {
  await target?.destroy();
});
afterEach(() => {
  connection?.end();
});

async function open(): Promise<WireConnection> {
  connection = await WireConnection.open(target.port);
  return connection;
}

/** That the connection still works: ApiVersions v0 is answered. */
async function expectAlive(c: WireConnection): Promise<void> {
  c.send(request(API_VERSIONS, 0, 4711));
  const answer = await c.next();
  expect([answer.readInt32BE(0), answer.readInt16BE(4)]).toEqual([4711, 0]);
}

test("ApiVersions of an unknown version is answered in version 0, with error 35 and its own range (KIP-511)", async () => {
  const c = await open();
  c.send(request(API_VERSIONS, 99, 7, Buffer.from("\0whatever a later version may hold"))); // no tagged fields in the header
  const answer = await c.next();
  expect(answer.readInt32BE(0)).toBe(7);
  expect(answer.readInt16BE(4)).toBe(UNSUPPORTED_VERSION);
  expect(answer.readInt32BE(6)).toBe(1);
  expect(answer.subarray(10, 14)).toEqual(Buffer.concat([int16(API_VERSIONS), int16(0)]));
  expect(answer.readInt16BE(14)).toBeGreaterThanOrEqual(4);
  expect(answer.length).toBe(16);
  await expectAlive(c);
});

test("ApiVersions v3 has a response header of version 0", async () => {
  const c = await open();
  const compact = (s: string) => Buffer.concat([Buffer.from([s.length + 1]), Buffer.from(s)]);
  c.send(request(API_VERSIONS, 3, 9, Buffer.concat([Buffer.from([0]), compact("wire-test"), compact("1.0"), Buffer.from([0])])));
  const answer = await c.next();
  expect([answer.readInt32BE(0), answer.readInt16BE(4)]).toEqual([9, 0]); // the error code follows at once: no tagged fields
  expect(answer.readUInt8(6)).toBeGreaterThan(15); // entries + 1
});

test("requests sent in one go are answered in their order", async () => {
  const c = await open();
  const metadata = Buffer.concat([int32(1), string("wire")]);
  const ids = Array.from({ length: 40 }, (_, i) => 100 + i);
  c.send(...ids.map((id) => (id % 3 === 0 ? request(3, 1, id, metadata) : request(API_VERSIONS, 0, id))));
  for (const id of ids) expect((await c.next()).readInt32BE(0)).toBe(id);
});

test("produce requests sent in one go are all appended, in their order", async () => {
  const c = await open();
  const ids = Array.from({ length: 50 }, (_, i) => i);
  c.send(...ids.map((id) => produceRequest(3, id, "wire", 0, id % 2 === 0 ? -1 : 1, batch(`number ${id}`))));
  for (const id of ids) {
    const answer = await c.next();
    // correlation id, then one topic with its name, one partition: index, error, base offset
    expect(answer.readInt32BE(0)).toBe(id);
    const at = 4 + 4 + 2 + "wire".length + 4;
    expect([answer.readInt32BE(at), answer.readInt16BE(at + 4), Number(answer.readBigInt64BE(at + 6))]).toEqual([0, 0, id]);
  }
});

test("a produce with acks=0 is never answered", async () => {
  const c = await open();
  c.send(produceRequest(3, 1, "wire", 1, 0, batch("no answer")), request(API_VERSIONS, 0, 2));
  expect((await c.next()).readInt32BE(0)).toBe(2);
});

const noTopics = Buffer.concat([int32(30_000), int32(0)]);
const unserved: [what: string, version: number, body: Buffer][] = [
  ["long gone", 2, Buffer.concat([int16(0), noTopics])],
  ["to come", 99, Buffer.concat([Buffer.from([0, 0]), int16(0), noTopics])], // no tagged fields, no transactional id
];
test.each(unserved)("a produce with acks=0 in a version %s closes the connection", async (_, version, body) => {
  const c = await open();
  c.send(request(0, version, 1, body));
  expect(await c.closes()).toBe(true);
});

test("a produce with acks=0 that fails closes the connection", async () => {
  const c = await open();
  const damaged = batch("damaged");
  damaged[damaged.length - 2]! ^= 1;
  c.send(produceRequest(3, 1, "wire", 1, 0, damaged));
  expect(await c.closes()).toBe(true);
});

test("a damaged batch is refused with CORRUPT_MESSAGE and the connection lives", async () => {
  const c = await open();
  const damaged = batch("damaged");
  damaged[damaged.length - 2]! ^= 1;
  c.send(produceRequest(3, 1, "wire", 1, -1, damaged));
  expect((await c.next()).readInt16BE(4 + 4 + 2 + "wire".length + 4 + 4)).toBe(2);
  await expectAlive(c);
});

test("a request in pieces of one byte is answered", async () => {
  const c = await open();
  for (const byte of request(API_VERSIONS, 0, 5)) {
    c.send(Buffer.from([byte]));
    await Bun.sleep(1);
  }
  expect((await c.next()).readInt32BE(0)).toBe(5);
});

for (const [what, size] of [
  ["negative", -1],
  ["beyond socket.request.max.bytes", 100 * 1024 * 1024 + 1],
] as const) {
  test(`a request size that is ${what} closes the connection`, async () => {
    const c = await open();
    c.send(int32(size), Buffer.alloc(64));
    expect(await c.closes()).toBe(true);
  });
}

test("a request whose arrays claim more than it holds closes the connection and harms nobody else", async () => {
  const other = await WireConnection.open(target.port);
  const c = await open();
  c.send(request(3, 1, 1, int32(0x7fffffff)));
  expect(await c.closes()).toBe(true);
  await expectAlive(other);
  other.end();
});

// Kafka closes the connection here. quarkmq's README promises an error, and a connection that lives.
if (targetKind === "binary") {
  describe("a bare error: correlation id and UNSUPPORTED_VERSION, and the connection lives", () => {
    const cases: [what: string, key: number, version: number][] = [
      ["an unknown API", 30_000, 0],
      ["a negative API key", -5, 0],
      ["a known API that is not served", 71, 0],
      ["Metadata of a version to come", 3, 99],
      ["Fetch of a version no longer served", 1, 0],
      ["Produce of a version to come, with acks=all", 0, 99],
      ["a negative version", 3, -1],
    ];
    test.each(cases)("%s", async (_, key, version) => {
      const c = await open();
      const body = key === 0 ? Buffer.concat([Buffer.from([0, 0]), int16(-1), noTopics]) : Buffer.from("some body");
      c.send(request(key, version, 77, body));
      expect(await c.next()).toEqual(Buffer.concat([int32(77), int16(UNSUPPORTED_VERSION)]));
      await expectAlive(c);
    });
  });
}
