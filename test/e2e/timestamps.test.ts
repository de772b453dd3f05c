/**
 * Times of records: which a topic takes, whose they are, and finding offsets by them, exact to the record, in batches of every codec. Asked on
 * the wire, because clients hide some of it; a model of a few lines says what must come out.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { responseCodec } from "../../src/protocol/compile.ts";
import { readResponseHeader, responseHeaderVersion, writeRequest } from "../../src/protocol/frames.ts";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../../src/protocol/schema.ts";
import { SeededRandom } from "../sim/seeded-random.ts";
import { type Codec, type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target } from "../support/target.ts";
import { timedBatch } from "../support/timed-batches.ts";
import { until } from "../support/until.ts";
import { WireConnection } from "../support/wire.ts";

const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];
const MAX_TIMESTAMP = -3;

let target: Target;
let driver: Driver;
let connection: WireConnection;

beforeAll(async () => {
  target = await startTarget();
  driver = franzGo.start(target.bootstrap);
  connection = await WireConnection.open(target.port);
});
afterAll(async () => {
  connection?.end();
  await driver?.close();
  await target?.destroy();
});

async function create(topic: string, configs: Record<string, string>): Promise<void> {
  await driver.createTopic(topic, 1, configs);
  await until(`${topic} to be led`, () => driver.offsets(topic, 1, "latest"));
}

async function ask<A extends AnyApi>(api: A, version: number, request: RequestInput<A>): Promise<Response<A>> {
  connection.send(
    Buffer.concat(writeRequest(new Writer(), api, version, { correlationId: 7, clientId: "times" }, request as never)),
  );
  const reader = new Reader(await connection.next(30_000));
  expect(readResponseHeader(reader, responseHeaderVersion(api, version))).toBe(7);
  return responseCodec(api, version).decode(reader) as Response<A>;
}

async function produce(topic: string, records: Buffer, version = 9) {
  const topicData = [{ name: topic, topicId: ZERO_UUID, partitionData: [{ index: 0, records }] }];
  const { responses } = await ask(Produce, version, { acks: -1, timeoutMs: 10_000, topicData });
  return responses[0]!.partitionResponses[0]!;
}

/** [offset, timestamp] */
async function find(topic: string, timestamp: number): Promise<[number, number]> {
  const topics = [{ name: topic, partitions: [{ partitionIndex: 0, timestamp }] }];
  const answer = await ask(ListOffsets, 7, { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 1000 });
  const found = answer.topics[0]!.partitions[0]!;
  expect(found.errorCode).toBe(0);
  return [found.offset, found.timestamp];
}

/** The model: the times of all records by offset. */
function expected(times: readonly number[], asked: number): [number, number] {
  const wanted = asked === MAX_TIMESTAMP ? Math.max(...times) : asked;
  const offset = times.findIndex((time) => (asked === MAX_TIMESTAMP ? time === wanted : time >= wanted));
  return offset < 0 ? [-1, -1] : [offset, times[offset]!];
}

const readTimes = async (topic: string, end: number): Promise<number[]> =>
  (await driver.read(topic, { 0: 0 }, { 0: end })).sort((a, b) => a.offset - b.offset).map((r) => r.timestampMs);

describe("times that the producer gives", () => {
  test("are found exactly, in several segments and batches of every codec", async () => {
    await create("found", { "segment.bytes": String(1 << 20), "index.interval.bytes": "4096" });
    const random = new SeededRandom(20);
    const times: number[] = [];
    const around = Date.now() - 3_600_000;
    for (let i = 0; i < 150; i++) {
      const batch = Array.from({ length: 1 + random.int(5) }, () =>
        random.chance(0.03) ? -1 : around + i * 1000 + random.int(20_000) - 10_000,
      );
      const answer = await produce("found", timedBatch(CODECS[i % 5]!, batch, i % 5 === 0 ? 20_000 : 50));
      expect(answer).toMatchObject({ errorCode: 0, baseOffset: times.length, logAppendTimeMs: -1 });
      times.push(...batch);
    }
    const asks = new Set([0, MAX_TIMESTAMP, around - 20_000, around + 1_000_000]);
    for (const time of times.filter((t, i) => t > 0 && i % 3 === 0)) for (const at of [time - 1, time, time + 1]) asks.add(at);
    const check = async (some: number[]) => {
      for (const at of some) expect([at, ...(await find("found", at))]).toEqual([at, ...expected(times, at)]);
    };
    await check([...asks]);
    expect(await readTimes("found", times.length)).toEqual(times);
    connection.end();
    await target.stop();
    await target.start();
    connection = await WireConnection.open(target.port);
    await until("the topic to be led", () => find("found", 0).catch(() => Promise.reject(new Error("not yet"))));
    await check([...asks].filter((_, i) => i % 7 === 0));
  }, 60_000);

  test("the largest of them that a header says is put right", async () => {
    await create("lies", {});
    const now = Date.now();
    const times: number[] = [];
    for (const codec of CODECS) {
      const batch = [now - 5000, now - 1000, now - 3000];
      const answer = await produce("lies", timedBatch(codec, batch, 10, { maxTimestamp: now + 1_000_000 }));
      expect(answer).toMatchObject({ errorCode: 0, baseOffset: times.length });
      times.push(...batch);
    }
    expect(await find("lies", MAX_TIMESTAMP)).toEqual([1, now - 1000]);
    expect(await find("lies", now)).toEqual([-1, -1]);
    expect(await readTimes("lies", times.length)).toEqual(times);
  });

  test("records without a time", async () => {
    await create("timeless", {});
    expect(await find("timeless", MAX_TIMESTAMP)).toEqual([-1, -1]);
    for (const codec of CODECS) expect((await produce("timeless", timedBatch(codec, [-1, -1]))).errorCode).toBe(0);
    expect(await find("timeless", MAX_TIMESTAMP)).toEqual([0, -1]);
    expect(await find("timeless", 0)).toEqual([-1, -1]);
  });

  for (const codec of CODECS) {
    test(`beyond the topic's limits are refused, one by one: ${codec}`, async () => {
      const topic = `limits-${codec}`;
      await create(topic, { "message.timestamp.before.max.ms": "60000", "message.timestamp.after.max.ms": "120000" });
      const now = Date.now();
      const batch = timedBatch(codec, [now, now - 100_000, -1, now + 200_000, now + 90_000]);
      const answer = await produce(topic, batch);
      expect(answer).toMatchObject({ errorCode: 32, baseOffset: -1, logAppendTimeMs: -1, logStartOffset: 0 });
      expect(answer.errorMessage).toBe("One or more records have been rejected due to invalid timestamp");
      expect(answer.recordErrors.map((e) => e.batchIndex)).toEqual([1, 3]);
      for (const { batchIndex, batchIndexErrorMessage: message } of answer.recordErrors) {
        const time = [now, now - 100_000, -1, now + 200_000][batchIndex]!;
        expect(message).toStartWith(
          `Timestamp ${time} of message with offset ${batchIndex} is out of range. The timestamp should be within [`,
        );
        const [, least, most] = /within \[(\d+), (\d+)\]$/.exec(message!)!;
        expect(Number(most) - Number(least)).toBe(180_000);
        expect(Number(least) + 60_000).toBeWithin(now - 5000, now + 60_000);
      }
      expect((await produce(topic, batch, 7)).recordErrors).toEqual([]); // they are told from version 8 on
      expect((await produce(topic, timedBatch(codec, [now - 50_000, -1, now + 110_000]))).errorCode).toBe(0);
    });
  }
});

describe("times that the broker gives", () => {
  test("are those of the append, for all records of a batch, in every codec", async () => {
    await create("append", {
      ...{ "message.timestamp.type": "LogAppendTime", "message.timestamp.after.max.ms": "1000" },
      "message.timestamp.before.max.ms": "1000",
    });
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (const codec of CODECS) {
        const before = Date.now();
        const answer = await produce("append", timedBatch(codec, [5, before + 10_000_000, -1]));
        expect(answer).toMatchObject({ errorCode: 0, baseOffset: times.length });
        expect(answer.logAppendTimeMs).toBeWithin(before, Date.now() + 1);
        times.push(...Array<number>(3).fill(answer.logAppendTimeMs));
        await Bun.sleep(3);
      }
    }
    expect(await readTimes("append", times.length)).toEqual(times);
    for (const time of times) expect(await find("append", time)).toEqual(expected(times, time));
    expect(await find("append", MAX_TIMESTAMP)).toEqual(expected(times, MAX_TIMESTAMP));
    expect(await find("append", times.at(-1)! + 1)).toEqual([-1, -1]);
    expect(await find("append", 0)).toEqual([0, times[0]!]);
  });

  test("also where the topic has another codec", async () => {
    await create("append-zstd", {
      "message.timestamp.type": "LogAppendTime",
      "compression.type": "zstd",
      "compression.zstd.level": "12",
    });
    const times: number[] = [];
    for (const codec of CODECS) {
      const before = Date.now();
      const answer = await produce("append-zstd", timedBatch(codec, [5, 6, 7], 400));
      expect(answer.logAppendTimeMs).toBeWithin(before, Date.now() + 1);
      times.push(...Array<number>(3).fill(answer.logAppendTimeMs));
    }
    expect(await readTimes("append-zstd", times.length)).toEqual(times);
  });

  test("a producer may not give them", async () => {
    for (const codec of CODECS) {
      const topic = `forged-${codec}`;
      await create(topic, { "message.timestamp.type": "LogAppendTime" });
      const answer = await produce(topic, timedBatch(codec, [Date.now()], 10, { attributes: 8 }));
      expect(answer).toMatchObject({ errorCode: 32, baseOffset: -1 });
      expect(answer.recordErrors.map((e) => e.batchIndex)).toEqual([0]);
    }
  });
});
