/**
 * The one list of assertions that every client library goes through (test/README.md). A client's test file is one call of
 * assertEverything(client). What a client writes is read back by itself and by franz-go, the neutral hand.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type {
  Client,
  Codec,
  Driver,
  GroupProtocol,
  MemberState,
  NewRecord,
  Offsets,
  Placed,
  ReadRecord,
  StreamResult,
} from "../support/driver.ts";
import { franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { sleep, until } from "../support/until.ts";

/** The largest batch that a topic takes by default (max.message.bytes). */
const MAX_MESSAGE_BYTES = 1_048_588;
/** What a batch with one record without key and headers needs around a value of about 1 MiB. */
const OVERHEAD_BYTES = 61 + 11;

/** How often a load is interrupted: Kafka takes its time to come back. */
const ROUNDS = targetKind === "kafka" ? 2 : 6;

/** The broker, the client under test and the neutral hand, for one test file. */
export interface Bench {
  target: Target;
  own: Driver;
  neutral: Driver;
  /** Makes a topic of a name not used before with the client under test, and waits until its partitions are led. */
  create(partitions: number, configs?: Record<string, string>): Promise<string>;
  /** Stops or kills the broker, starts it again, and waits until the partitions of this topic are led. */
  again(how: "stop" | "kill", topic: string, partitions: number): Promise<void>;
}

/** A bench whose broker and drivers are the caller's to start. */
export function emptyBench(name: string): Bench {
  const bench = {} as Bench;
  let topics = 0;
  const led = (topic: string, partitions: number) =>
    until(`${topic} to be led`, () => bench.neutral.offsets(topic, partitions, "latest").then(() => true));
  bench.create = async (partitions, configs) => {
    const topic = `${name}-${++topics}`;
    await bench.own.createTopic(topic, partitions, configs);
    await led(topic, partitions);
    return topic;
  };
  bench.again = async (how, topic, partitions) => {
    await bench.target[how]();
    await bench.target.start();
    await led(topic, partitions);
  };
  return bench;
}

/** Declares the whole list for one client. */
export function assertEverything(client: Client): void {
  describe(client.name, () => {
    const bench = emptyBench(client.name);
    beforeAll(async () => {
      bench.target = await startTarget();
      bench.own = client.start(bench.target.bootstrap);
      bench.neutral = franzGo.start(bench.target.bootstrap);
    });
    afterAll(async () => {
      await bench.own?.close();
      await bench.neutral?.close();
      await bench.target?.destroy();
    });
    const check = (name: string, body: () => Promise<void>) =>
      test(name, async () => {
        try {
          await body();
        } catch (error) {
          console.error(`${client.name}: ${name}: the broker's last lines:\n${bench.target.log().slice(-3000)}`);
          throw error;
        }
      });

    check("keyed records go to several partitions and come back in order", () => keyedRecords(bench));
    check("null and empty keys and values", () => nulls(bench));
    check("headers", () => headers(bench, client));
    check("timestamps", () => timestamps(bench, client));
    check("the largest record that the default allows, and one byte more is refused", () => largestRecord(bench));
    check("records of 1 MiB", () => mebibyteRecords(bench));
    for (const codec of ["gzip", "snappy", "lz4", "zstd"] as const)
      check(`compressed with ${codec}`, () => compressed(bench, codec));
    check("offsets by time", () => offsetsByTime(bench, client));
    check("a group rebalances when members join, leave and crash", () => rebalances(bench, client));
    check("a group reads on from its committed offsets", () => committedOffsets(bench, client));
    check("the client lives through a restart of the broker", () => restart(bench));
    check("kill -9 under load loses nothing acknowledged and duplicates nothing", () => killUnderLoad(bench));
  });
}

const bytes = (value: Buffer | string | null | undefined): Buffer | null =>
  value === null || value === undefined ? null : Buffer.from(value);

/** A record as it can be compared: bytes as latin1 text, null as null. */
function comparable(r: NewRecord | ReadRecord, partition: number, offset: number): Record<string, unknown> {
  const plain = (value: Buffer | string | null | undefined) => bytes(value)?.toString("latin1") ?? null;
  return {
    partition,
    offset,
    key: plain(r.key),
    value: plain(r.value),
    headers: (r.headers ?? []).map(([name, value]) => [name, plain(value)]),
  };
}

const byPlace = (a: { partition: number; offset: number }, b: { partition: number; offset: number }) =>
  a.partition - b.partition || a.offset - b.offset;

/** From where to where one has to read to get all of `placed` and nothing else. */
function span(placed: Placed[], partitions: number): { from: Offsets; to: Offsets } {
  const from: Offsets = {};
  const to: Offsets = {};
  for (let p = 0; p < partitions; p++) {
    const offsets = placed.filter((at) => at.partition === p).map((at) => at.offset);
    from[p] = offsets.length === 0 ? 0 : Math.min(...offsets);
    to[p] = offsets.length === 0 ? 0 : Math.max(...offsets) + 1;
  }
  return { from, to };
}

/** That both the client and the neutral hand read exactly `written`; each partition in the order of its offsets. */
async function expectReadBack(bench: Bench, topic: string, partitions: number, written: NewRecord[], placed: Placed[]) {
  const { from, to } = span(placed, partitions);
  const expected = written.map((r, i) => comparable(r, placed[i]!.partition, placed[i]!.offset) as Record<string, number>);
  expected.sort((a, b) => byPlace(a as never, b as never));
  const results: ReadRecord[][] = [];
  for (const reader of [bench.own, bench.neutral]) {
    const records = await reader.read(topic, from, to);
    for (let p = 0; p < partitions; p++) {
      const offsets = records.filter((r) => r.partition === p).map((r) => r.offset);
      expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
    }
    records.sort(byPlace);
    expect(records.map((r) => comparable(r, r.partition, r.offset) as Record<string, number>)).toEqual(expected);
    results.push(records);
  }
  return { own: results[0]!, neutral: results[1]! };
}

async function keyedRecords(bench: Bench): Promise<void> {
  const topic = await bench.create(3);
  const written = Array.from({ length: 60 }, (_, i) => ({ key: `key-${i % 12}`, value: `value ${i} é 漢` }));
  const placed = await bench.own.produce(topic, written);
  const partitionOf = new Map<string, number>();
  const nextOffset = [0, 0, 0];
  placed.forEach((at, i) => {
    const { key } = written[i]!;
    expect(at.partition).toBe(partitionOf.get(key) ?? at.partition);
    partitionOf.set(key, at.partition);
    expect(at.offset).toBe(nextOffset[at.partition]!++);
  });
  expect(new Set(partitionOf.values()).size).toBe(3);
  await expectReadBack(bench, topic, 3, written, placed);
  expect(await bench.own.offsets(topic, 3, "earliest")).toEqual({ 0: 0, 1: 0, 2: 0 });
  expect(await bench.own.offsets(topic, 3, "latest")).toEqual({ 0: nextOffset[0]!, 1: nextOffset[1]!, 2: nextOffset[2]! });
}

async function nulls(bench: Bench): Promise<void> {
  const topic = await bench.create(1);
  const written: NewRecord[] = [
    { partition: 0, key: null, value: "no key" },
    { partition: 0, key: "no value", value: null },
    { partition: 0, key: null, value: null },
    { partition: 0, key: "", value: "empty key" },
    { partition: 0, key: "empty value", value: "" },
    { partition: 0, key: "", value: "" },
  ];
  await expectReadBack(bench, topic, 1, written, await bench.own.produce(topic, written));
}

async function headers(bench: Bench, client: Client): Promise<void> {
  const topic = await bench.create(1);
  const written: NewRecord[] = [
    { partition: 0, value: "one", headers: [["trace", "1f"]] },
    {
      partition: 0,
      value: "several",
      headers: [
        ["z", "last first"],
        ["a", "then a"],
        ["empty", ""],
      ],
    },
    { partition: 0, value: "none", headers: [] },
  ];
  if (client.writesNullHeaders) written.push({ partition: 0, value: "null header", headers: [["nothing", null]] });
  if (client.repeatsHeaders) {
    const twice: NewRecord["headers"] = ["1", "2"].map((value) => ["again", value]);
    written.push({ partition: 0, value: "twice", headers: twice });
  }
  await expectReadBack(bench, topic, 1, written, await bench.own.produce(topic, written));
}

async function timestamps(bench: Bench, client: Client): Promise<void> {
  const topic = await bench.create(1);
  const beforeMs = Date.now();
  const placed = await bench.own.produce(topic, [{ partition: 0, value: "now" }]);
  const afterMs = Date.now();
  const times = [1_500_000_000_123, 1_499_990_000_456, 1_500_010_000_789]; // not in order: a record keeps its own time
  if (client.setsTimestamps) {
    const written = times.map((timestampMs) => ({ partition: 0, value: String(timestampMs), timestampMs }));
    placed.push(...(await bench.own.produce(topic, written)));
  }
  const { from, to } = span(placed, 1);
  for (const reader of [bench.own, bench.neutral]) {
    const [now, ...rest] = (await reader.read(topic, from, to)).map((r) => r.timestampMs);
    expect(now).toBeWithin(beforeMs - 1000, afterMs + 1000);
    expect(rest).toEqual(client.setsTimestamps ? times : []);
  }
}

async function largestRecord(bench: Bench): Promise<void> {
  const topic = await bench.create(1);
  const largest = [{ partition: 0, value: randomText(MAX_MESSAGE_BYTES - OVERHEAD_BYTES) }];
  await expectReadBack(bench, topic, 1, largest, await bench.own.produce(topic, largest));
  const refused = bench.own.produce(topic, [{ partition: 0, value: randomText(MAX_MESSAGE_BYTES - OVERHEAD_BYTES + 1) }]);
  const error = await refused.then(
    () => "it was taken",
    (e) => String(e),
  );
  expect(error).toMatch(/MESSAGE_TOO_LARGE|MSG_SIZE_TOO_LARGE|RecordTooLarge|larger than the max|too large/i);
  expect(await bench.neutral.offsets(topic, 1, "latest")).toEqual({ 0: 1 });
}

async function mebibyteRecords(bench: Bench): Promise<void> {
  const topic = await bench.create(2, { "max.message.bytes": String(2 << 20) });
  const written = Array.from({ length: 6 }, (_, i) => ({ partition: i % 2, key: `${i}`, value: randomText(1 << 20) }));
  const placed: Placed[] = [];
  for (const record of written) placed.push(...(await bench.own.produce(topic, [record])));
  await expectReadBack(bench, topic, 2, written, placed);
}

/** Text that hardly compresses (6 bits in 8). */
function randomText(length: number): string {
  return randomBytes(Math.ceil((length * 3) / 4))
    .toString("base64")
    .slice(0, length);
}

async function compressed(bench: Bench, codec: Codec): Promise<void> {
  const topic = await bench.create(2);
  const written = Array.from({ length: 100 }, (_, i) => ({
    partition: i % 2,
    key: `key-${i}`,
    value: `${i} ${"all work and no play makes a dull log ".repeat(i)}`,
  }));
  const placed = await bench.own.produce(topic, written, codec);
  // A batch that would not shrink may be sent as it is, and the first record may travel alone.
  const { neutral } = await expectReadBack(bench, topic, 2, written, placed);
  expect(neutral.filter((r) => r.codec === codec).length).toBeGreaterThan(50);
  expect(neutral.filter((r) => r.codec !== codec && r.codec !== "none")).toEqual([]);
}

async function offsetsByTime(bench: Bench, client: Client): Promise<void> {
  const topic = await bench.create(2);
  const writer = client.setsTimestamps ? bench.own : bench.neutral;
  const startMs = 1_700_000_000_000;
  const times = [0, 1000, 2000, 2000, 3000, 3500, 10_000].map((ms) => startMs + ms);
  for (const codec of ["none", "gzip"] as const) {
    // Several records in one batch: the answer is exact to the record, in a compressed batch too.
    const partition = codec === "none" ? 0 : 1;
    await writer.produce(
      topic,
      times.map((timestampMs, i) => ({ partition, value: `${i} ${"x".repeat(200)}`, timestampMs })),
      codec,
    );
  }
  const expected: [atMs: number, offset: number][] = [
    [startMs - 5000, 0],
    [startMs, 0],
    [startMs + 1, 1],
    [startMs + 1000, 1],
    [startMs + 1500, 2],
    [startMs + 2000, 2],
    [startMs + 2001, 4],
    [startMs + 3400, 5],
    [startMs + 10_000, 6],
  ];
  for (const reader of [bench.own, bench.neutral]) {
    for (const [atMs, offset] of expected) expect(await reader.offsets(topic, 2, atMs)).toEqual({ 0: offset, 1: offset });
    // Later than everything: some clients say -1, some the end.
    for (const offset of Object.values(await reader.offsets(topic, 2, startMs + 10_001))) expect([-1, 7]).toContain(offset);
  }
}

/** Waits until the members have all `partitions` between them, each only once, in equal shares but for one; then the partitions of each. */
export async function settled(members: Driver[], partitions: number, timeoutMs = 30_000): Promise<number[][]> {
  return until(
    `${members.length} members to share ${partitions} partitions`,
    async () => {
      const states = await Promise.all(members.map((m) => m.member()));
      const shares = states.map((s) => s.partitions);
      const all = shares.flat().sort((a, b) => a - b);
      const complete = all.length === partitions && all.every((p, i) => p === i) && shares.every((s) => s.length > 0);
      const sizes = shares.map((share) => share.length);
      // On the way there one may have three, and another one.
      if (!complete || Math.max(...sizes) - Math.min(...sizes) > 1)
        throw new Error(JSON.stringify({ shares, faults: states.map((s) => s.fault) }));
      return shares;
    },
    { timeoutMs, everyMs: 100 },
  );
}

const values = (state: MemberState): string[] => state.records.map((r) => String(r.value));

/** Waits until the members have read every one of `wanted` between them. */
export async function haveRead(members: Driver[], wanted: string[]): Promise<void> {
  await until(
    "the members to read everything",
    async () => {
      const read = new Set((await Promise.all(members.map((m) => m.member()))).flatMap(values));
      const missing = wanted.filter((v) => !read.has(v));
      if (missing.length > 0) throw new Error(`${missing.length} of ${wanted.length} missing, such as ${missing[0]}`);
      return true;
    },
    { everyMs: 100 },
  );
}

/** Writes ten records to each of the partitions and returns their values. */
export async function feed(bench: Bench, topic: string, partitions: number, name: string): Promise<string[]> {
  const records = Array.from({ length: partitions * 10 }, (_, i) => ({ partition: i % partitions, value: `${name} ${i}` }));
  await bench.neutral.produce(topic, records);
  return records.map((r) => r.value);
}

/** Members come, go and die; `protocol` is what they speak to the broker. */
export async function rebalances(bench: Bench, client: Client, protocol: GroupProtocol = "classic"): Promise<void> {
  const topic = await bench.create(4);
  const group = `group-${topic}`;
  const [a, b, c] = [client, client, client].map((x) => x.start(bench.target.bootstrap)) as [Driver, Driver, Driver];
  try {
    const first = await feed(bench, topic, 4, "alone");
    await a.join(topic, group, protocol);
    await settled([a], 4);
    await haveRead([a], first);
    await a.commit();

    await b.join(topic, group, protocol);
    const shares = await settled([a, b], 4);
    expect(shares.map((s) => s.length)).toEqual([2, 2]);
    await sleep(300); // fetches of partitions given away may be under way for 100 ms
    const second = await feed(bench, topic, 4, "together");
    await haveRead([a, b], second);
    const [ofA, ofB] = [await a.member(), await b.member()];
    for (const [state, share] of [
      [ofA, shares[0]!],
      [ofB, shares[1]!],
    ] as const) {
      const strays = state.records.filter((r) => String(r.value).startsWith("together") && !share.includes(r.partition));
      expect(strays.map((r) => `${r.value} in ${r.partition}`)).toEqual([]);
    }
    expect(values(ofB).filter((v) => v.startsWith("alone"))).toEqual([]); // committed by the other member
    await a.commit();
    await b.commit();

    await b.leave();
    await settled([a], 4, 5000); // at once, not after the session timeout
    await haveRead([a], await feed(bench, topic, 4, "after leaving"));
    await a.commit();

    await c.join(topic, group, protocol);
    await settled([a, c], 4);
    await c.kill();
    await settled([a], 4, 20_000); // after the session timeout
    await haveRead([a], await feed(bench, topic, 4, "after the crash"));
    expect((await a.member()).fault).toBe("");
    await a.leave();
  } finally {
    await Promise.all([a.close(), b.close(), c.kill()]);
  }
}

export async function committedOffsets(bench: Bench, client: Client, protocol: GroupProtocol = "classic"): Promise<void> {
  const topic = await bench.create(2);
  const group = `group-${topic}`;
  const before = await feed(bench, topic, 2, "before");
  const a = client.start(bench.target.bootstrap);
  await a.join(topic, group, protocol);
  await haveRead([a], before);
  await a.commit();
  await a.leave();
  await a.close();
  await bench.again("stop", topic, 2);
  const after = await feed(bench, topic, 2, "after");
  const b = client.start(bench.target.bootstrap);
  await b.join(topic, group, protocol);
  await haveRead([b], after);
  const state = await b.member();
  expect(values(state).sort()).toEqual(after.sort());
  expect(state.fault).toBe("");
  await b.leave();
  await b.close();
}

async function restart(bench: Bench): Promise<void> {
  const topic = await bench.create(2);
  const records = (name: string) =>
    Array.from({ length: 20 }, (_, i) => ({ partition: i % 2, key: `${i}`, value: `${name} ${i}` }) satisfies NewRecord);
  const before = records("before");
  const placed = await bench.own.produce(topic, before);
  await bench.again("stop", topic, 2);
  const after = records("after");
  placed.push(...(await bench.own.produce(topic, after)));
  expect(placed.map((at) => at.offset).sort((x, y) => x - y)).toEqual(Array.from({ length: 40 }, (_, i) => i >> 1));
  await expectReadBack(bench, topic, 2, [...before, ...after], placed);
}

async function killUnderLoad(bench: Bench): Promise<void> {
  const partitions = 3;
  const topic = await bench.create(partitions);
  await bench.own.streamStart(topic, partitions);
  const acknowledged = async (more: number) => {
    const { acked: start } = await bench.own.streamStatus();
    await until(`${more} more acknowledged`, async () => (await bench.own.streamStatus()).acked >= start + more, {
      timeoutMs: 60_000,
    });
  };
  for (let round = 0; round < ROUNDS; round++) {
    await acknowledged(300 + Math.floor(Math.random() * 500));
    await bench.again("kill", topic, partitions);
  }
  await acknowledged(300);
  const result = await bench.own.streamStop();
  await expectNothingLost(bench.neutral, topic, partitions, result);
}

/** Every acknowledged record is there once, at the offset that was told, nothing is there twice, and each partition is in order. */
export async function expectNothingLost(reader: Driver, topic: string, partitions: number, result: StreamResult): Promise<void> {
  expect(result.acked.length).toBeGreaterThan(0);
  const from = await reader.offsets(topic, partitions, "earliest");
  const to = await reader.offsets(topic, partitions, "latest");
  const records = await reader.read(topic, from, to);
  const placeOf = new Map<string, number>();
  const last = new Map<number, number>();
  for (const r of records) {
    const [partition, number] = String(r.value).split(":").map(Number) as [number, number];
    expect(partition).toBe(r.partition);
    expect(number).toBeGreaterThan(last.get(partition) ?? -1); // in order, and so nothing twice
    last.set(partition, number);
    placeOf.set(String(r.value), r.offset);
  }
  const lost = result.acked.filter(([p, n]) => !placeOf.has(`${p}:${n}`));
  expect(lost).toEqual([]);
  const moved = result.acked.filter(([p, n, offset]) => offset >= 0 && placeOf.get(`${p}:${n}`) !== offset);
  expect(moved).toEqual([]);
}
