/**
 * Compacted topics with real clients: after compaction a consumer ends with exactly what was last written for each key, at the offsets
 * that it was written at; keys that were deleted are gone, and kafka-dump-log reads what is on the disk without complaint.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Codec, type Driver, franzGo, java, type NewRecord, type ReadRecord } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { toolOk } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";

const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];
const TOPIC = "compacted";
const KEYS = 40;
const ROUNDS = 6;
/** Segments begin anew with the first record after this time. */
const ROLL_MS = 400;
const settings = {
  "log.cleaner.backoff.ms": "100",
  "log.roll.ms": String(ROLL_MS),
  "log.cleaner.min.cleanable.ratio": "0.01",
  "offsets.topic.num.partitions": "1",
  "log.segment.delete.delay.ms": "100",
};

let target: Target;
let driver: Driver;
/** What every key was last set to, and where. */
const model = new Map<string, { offset: number; value: string | null }>();

async function write(records: NewRecord[], codec: Codec): Promise<void> {
  const placed = await driver.produce(TOPIC, records, codec);
  placed.forEach(({ offset }, i) => {
    model.set(String(records[i]!.key), { offset, value: (records[i]!.value as string | null) ?? null });
  });
}

/** Some keys anew with every codec, some deleted, keys of one batch repeated. */
async function round(n: number): Promise<void> {
  for (const [i, codec] of CODECS.entries()) {
    const records = Array.from({ length: 30 }, (_, j) => {
      const key = (n * 7 + i * 5 + j * 3) % KEYS;
      return { partition: 0, key: `key ${key}`, value: (key + n) % 9 === 0 ? null : `${codec} ${n} ${j} ${"v".repeat(200)}` };
    });
    await write(records, codec);
  }
  await sleep(ROLL_MS + 100);
}

async function readAll(topic = TOPIC): Promise<ReadRecord[]> {
  const { 0: end } = await driver.offsets(topic, 1, "latest");
  return driver.read(topic, { 0: 0 }, { 0: end! });
}

/** Waits until each key is there once at most, below the last record of all, which is never compacted. */
async function compacted(): Promise<ReadRecord[]> {
  let records: ReadRecord[] = [];
  await write([{ partition: 0, key: "last", value: "of all" }], "none");
  await until(
    "all but the active segment to be compacted",
    async () => {
      records = await readAll();
      const older = records.slice(0, -1).map(({ key }) => String(key));
      return new Set(older).size === older.length;
    },
    { timeoutMs: 30_000 },
  );
  return records;
}

function expectModel(records: readonly ReadRecord[]): void {
  const seen = new Map(records.map(({ key, offset, value }) => [String(key), { offset, value: value?.toString() ?? null }]));
  for (const [key, last] of model) {
    if (last.value === null && !seen.has(key)) continue; // deleted, and its mark is gone too
    expect([key, seen.get(key)]).toEqual([key, last]);
  }
  for (const key of seen.keys()) expect(model.has(key)).toBeTrue();
  const offsets = records.map(({ offset }) => offset);
  expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
}

beforeAll(async () => {
  target = await startTarget({ settings });
  driver = franzGo.start(target.bootstrap);
}, 60_000);

afterAll(async () => {
  await driver?.close();
  await target?.destroy();
});

describe("a compacted topic", () => {
  test("ends with the last value of each key, whatever the codec", async () => {
    await driver.createTopic(TOPIC, 1, { "cleanup.policy": "compact", "delete.retention.ms": "300" });
    for (let n = 0; n < ROUNDS; n++) await round(n);
    const records = await compacted();
    expectModel(records);
    expect(records.length).toBeLessThanOrEqual(KEYS + 2);
  }, 60_000);

  test("forgets the marks of deleted keys in time", async () => {
    await sleep(500);
    const deleted = [...model].filter(([, { value }]) => value === null).map(([key]) => key);
    expect(deleted.length).toBeGreaterThan(0);
    await until(
      "the marks to go",
      async () => {
        await write([{ partition: 0, key: "last", value: "once more" }], "none"); // something must be new
        await sleep(ROLL_MS + 100);
        const keys = new Set((await readAll()).map(({ key }) => String(key)));
        return deleted.every((key) => !keys.has(key));
      },
      { timeoutMs: 30_000 },
    );
    expectModel(await readAll());
  }, 60_000);

  test("takes no record without a key", async () => {
    const keyless = driver.produce(TOPIC, [{ partition: 0, value: "no key" }]);
    expect(keyless).rejects.toThrow(/INVALID_RECORD/);
    await keyless.catch(() => {});
  });

  test("is read the same by the Java client", async () => {
    const reader = java.start(target.bootstrap);
    const { 0: end } = await reader.offsets(TOPIC, 1, "latest");
    const plain = (records: ReadRecord[]) => records.map(({ offset, key, value }) => [offset, String(key), String(value)]);
    expect(plain(await reader.read(TOPIC, { 0: 0 }, { 0: end! }))).toEqual(plain(await readAll()));
    await reader.close();
  }, 60_000);

  test("keeps committed offsets while __consumer_offsets is compacted", async () => {
    await driver.join(TOPIC, "readers");
    const { 0: end } = await driver.offsets(TOPIC, 1, "latest");
    for (let i = 0; i < 8; i++) {
      await until("the member to have read", async () => (await driver.member()).records.at(-1)?.offset === end! - 1);
      await driver.commit();
      await sleep(ROLL_MS / 2);
    }
    await driver.leave();
    const said = await toolOk("kafka-consumer-groups.sh", [
      "--bootstrap-server",
      target.bootstrap,
      "--describe",
      "--group",
      "readers",
    ]);
    expect(said).toMatch(new RegExp(`readers +${TOPIC} +0 +${end} +${end} +0`));
  }, 60_000);
});

if (targetKind === "binary") {
  describe("on the disk", () => {
    const files = (topic: string, ending: RegExp): string[] => {
      const directory = join(target.dataDir, `${topic}-0`);
      return readdirSync(directory)
        .filter((name) => ending.test(name))
        .sort()
        .map((name) => join(directory, name));
    };
    const dump = (paths: string[], ...options: string[]) =>
      toolOk("kafka-dump-log.sh", ["--files", paths.join(","), ...options], { env: { KAFKA_HEAP_OPTS: "-Xmx512m" } });

    test("kafka-dump-log reads compacted segments, and what is retained has its delete horizon", async () => {
      for (let n = 0; n < 3; n++) await round(n);
      await compacted();
      const said = await dump(files(TOPIC, /\.log$/), "--deep-iteration", "--print-data-log");
      expect(said).not.toMatch(/invalid|Found|error|isvalid: false/i);
      expect(said).toMatch(/deleteHorizonMs: OptionalLong\[\d+\]/);
      for (const option of ["--index-sanity-check", "--verify-index-only"]) {
        const indexes = await dump(files(TOPIC, /\.(index|timeindex)$/), option);
        expect(indexes).not.toMatch(/mismatch|not found|Found|error/i);
      }
      const offsets = await dump(files("__consumer_offsets", /\.log$/), "--offsets-decoder", "--deep-iteration");
      expect(offsets).not.toMatch(/invalid|error/i);
    }, 60_000);

    test("survives kill -9 and restarts as it is, and without the recovery points", async () => {
      const before = await readAll();
      await target.kill();
      await target.start();
      expect(await readAll()).toEqual(before);
      await target.kill();
      rmSync(join(target.dataDir, "quarkmq-recovery-points")); // says up to where all is synced: without it more is checked
      await target.start();
      expect(await readAll()).toEqual(before);
      await target.stop();
      await target.start();
      expect(await readAll()).toEqual(before);
      expectModel(before);
      expect(target.log()).not.toContain("was cut");
    }, 60_000);
  });
}
