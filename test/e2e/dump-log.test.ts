/** Kafka's own kafka-dump-log reads what the broker leaves on the disk, without complaint. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Codec, type Driver, franzGo, type StreamResult } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { toolOk } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { expectNothingLost } from "./assertions.ts";

const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];
const TOPIC = "dumped";
const STREAMED = "streamed";
const GROUP = "the-group";
const RECORDS_PER_CODEC = 400;

let target: Target;
let driver: Driver;

const randomHex = (bytes: number): string => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");

/** Writes segments enough that every kind of file has something in it, and has a group commit offsets. */
async function workload(): Promise<void> {
  await driver.createTopic(TOPIC, 2);
  await driver.createTopic(STREAMED, 2);
  for (const codec of CODECS) {
    for (let from = 0; from < RECORDS_PER_CODEC; from += 20) {
      const records = Array.from({ length: 20 }, (_, i) => ({
        partition: i % 2,
        key: `${codec} ${from + i}`,
        value: randomHex(1500).repeat(2), // every codec makes it smaller
        headers: [["codec", codec]] as [string, string][],
      }));
      await driver.produce(TOPIC, records, codec);
    }
  }
  await driver.join(TOPIC, GROUP);
  const all = RECORDS_PER_CODEC * CODECS.length;
  await until("the group to read everything", async () => (await driver.member()).records.length === all);
  await driver.commit();
  await driver.leave();
}

beforeAll(async () => {
  target = await startTarget({ settings: { "log.segment.bytes": String(1 << 20) } });
  driver = franzGo.start(target.bootstrap);
  await workload();
}, 60_000);

afterAll(async () => {
  await driver?.close();
  await target?.destroy();
});

/** All files with this ending in the partition directories whose name fits. */
function files(ending: string, directories: RegExp): string[] {
  return readdirSync(target.dataDir)
    .filter((name) => directories.test(name))
    .sort()
    .flatMap((name) =>
      readdirSync(join(target.dataDir, name))
        .filter((file) => file.endsWith(ending))
        .sort()
        .map((file) => join(target.dataDir, name, file)),
    );
}

const OURS = /^(dumped|streamed)-\d+$/;

function dump(paths: string[], ...options: string[]): Promise<string> {
  expect(paths.length).toBeGreaterThan(0);
  return toolOk("kafka-dump-log.sh", ["--files", paths.join(","), ...options], { env: { KAFKA_HEAP_OPTS: "-Xmx512m" } });
}

/** That the tool says nothing of the indexes but that it read them. */
async function expectSoundIndexes(): Promise<void> {
  const indexes = files("index", OURS); // .index and .timeindex
  const said = async (option: string) => (await dump(indexes, option)).trim().split("\n");
  const complaints = (lines: string[]) =>
    lines.filter((line) => !/^Dumping \S+$|^\S+ (is empty|passed sanity check)\.$/.test(line));
  const verified = await said("--verify-index-only");
  expect(complaints(verified)).toEqual([]);
  expect(verified.filter((line) => line.startsWith("Dumping ")).length).toBe(indexes.length);
  const checked = await said("--index-sanity-check");
  expect(complaints(checked)).toEqual([]);
  expect(checked.filter((line) => line.endsWith(" passed sanity check.")).length).toBeGreaterThan(indexes.length / 2);
}

/** What the tool tells of the batches and records of these logs. Throws when it finds one that is not valid. */
async function dumpedLog(paths: string[]): Promise<{ batches: string[]; records: string[] }> {
  const lines = (await dump(paths, "--deep-iteration", "--max-message-size", String(8 << 20))).trim().split("\n");
  const batches = lines.filter((line) => line.startsWith("baseOffset: "));
  expect(batches.filter((line) => !line.endsWith(" isvalid: true"))).toEqual([]);
  const records = lines.filter((line) => line.startsWith("| offset: "));
  const rest = lines.filter((line) => !/^(baseOffset: |\| offset: |Dumping |Log starting offset: )/.test(line));
  expect(rest).toEqual([]);
  return { batches, records };
}

describe("after a clean stop", () => {
  beforeAll(async () => {
    await target.stop();
  });
  afterAll(async () => {
    await target.start();
  });

  test("every segment: all batches valid, in their codecs, every record there", async () => {
    const logs = files(".log", /^dumped-\d+$/);
    expect(logs.length).toBeGreaterThan(3);
    const { batches, records } = await dumpedLog(logs);
    expect(records.length).toBe(RECORDS_PER_CODEC * CODECS.length);
    for (const codec of CODECS) expect(batches.filter((b) => b.includes(` compresscodec: ${codec} `)).length).toBeGreaterThan(3);
    expect(batches.every((b) => / partitionLeaderEpoch: 0 /.test(b) && / producerId: \d+ producerEpoch: 0 /.test(b))).toBe(true);
    expect(records.every((r) => / headerKeys: \[codec\]/.test(r))).toBe(true);
  });

  test("every offset index and time index", expectSoundIndexes);

  test("offset indexes have an entry for every few KiB", async () => {
    const entries = (await dump(files(".index", /^dumped-0$/))).split("\n").filter((line) => line.startsWith("offset: "));
    expect(entries.length).toBeGreaterThan(20);
  });

  test("every producer snapshot", async () => {
    const snapshots = files(".snapshot", OURS);
    const states = (await dump(snapshots)).split("\n").filter((line) => line.startsWith("producerId: "));
    expect(states.length).toBeGreaterThan(0);
    for (const state of states)
      expect(state).toMatch(
        /producerEpoch: 0 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong.empty lastTimestamp: \d+ /,
      );
    const last = files(".snapshot", /^dumped-0$/).at(-1)!;
    const end = (await toolOk("kafka-dump-log.sh", ["--files", last])).matchAll(/ lastOffset: (\d+) /g);
    expect(Math.max(...[...end].map((m) => Number(m[1])))).toBe((RECORDS_PER_CODEC * CODECS.length) / 2 - 1);
  });

  test("partition.metadata and leader-epoch-checkpoint", () => {
    const metadata = readFileSync(join(target.partitionDir(TOPIC, 0), "partition.metadata"), "utf8");
    expect(metadata).toMatch(/^version: 0\ntopic_id: [\w-]{22}\n?$/);
    expect(readFileSync(join(target.partitionDir(TOPIC, 0), "leader-epoch-checkpoint"), "utf8")).toBe("0\n1\n0 0\n");
  });

  test("committed offsets are records that Kafka's decoder reads", async () => {
    const logs = files(".log", /^__consumer_offsets-\d+$/);
    const said = await dump(logs, "--offsets-decoder");
    const committed = new Map<string, number>();
    for (const [, key, payload] of said.matchAll(/ key: (\{.*?\}) payload: (\{.*\})$/gm)) {
      const { type, data } = JSON.parse(key!) as { type: string; data: { group: string; topic: string; partition: number } };
      if (Number(type) !== 1 || data.group !== GROUP) continue;
      committed.set(`${data.topic}-${data.partition}`, (JSON.parse(payload!) as { data: { offset: number } }).data.offset);
    }
    const each = (RECORDS_PER_CODEC * CODECS.length) / 2;
    expect(Object.fromEntries(committed)).toEqual({ [`${TOPIC}-0`]: each, [`${TOPIC}-1`]: each });
    expect(said).toMatch(/ key: \{"type":"?2"?,.*"the-group"/); // the group's own record
  });
});

describe("after kill -9 under load", () => {
  let result: StreamResult;
  beforeAll(async () => {
    await driver.streamStart(STREAMED, 2);
    for (let round = 0; round < 2; round++) {
      const { acked: before } = await driver.streamStatus();
      await until("the load to go on", async () => (await driver.streamStatus()).acked > before + 300);
      await target.kill();
      await target.start();
    }
    result = await driver.streamStop();
    await expectNothingLost(driver, STREAMED, 2, result);
    await target.stop();
  }, 120_000);
  afterAll(() => target.start());

  test("every segment", async () => {
    const { records } = await dumpedLog(files(".log", OURS));
    expect(records.length).toBeGreaterThanOrEqual(result.acked.length + RECORDS_PER_CODEC * CODECS.length);
  });

  test("every offset index and time index", expectSoundIndexes);

  test("every producer snapshot", async () => {
    expect(await dump(files(".snapshot", OURS))).toContain("producerId: ");
  });
});

if (targetKind === "binary") {
  test("the broker's own metadata log is made of valid batches too", async () => {
    await target.stop();
    const { batches } = await dumpedLog(files(".log", /^__cluster_metadata-0$/));
    expect(batches.length).toBeGreaterThan(0);
    await target.start();
  });
}
