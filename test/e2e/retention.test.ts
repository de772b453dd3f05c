/** What goes: old segments, records by kafka-delete-records, topics that are deleted and made again under kill -9. And what stays, read by Kafka's tools. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { ToolsJvm } from "../support/tools-jvm.ts";
import { sleep, until } from "../support/until.ts";

const MIB = 1 << 20;

let target: Target;
let jvm: ToolsJvm;
let driver: Driver;

beforeAll(async () => {
  jvm = new ToolsJvm();
  const soon = targetKind === "kafka" ? { "log.initial.task.delay.ms": "300" } : {};
  const settings = { "log.retention.check.interval.ms": "300", "auto.create.topics.enable": "false", ...soon };
  target = await startTarget({ settings });
  driver = franzGo.start(target.bootstrap);
}, 60_000);

afterAll(async () => {
  await Promise.all([jvm?.close(), driver?.close()]);
  await target?.destroy();
});

const fill = (topic: string, partition: number, count: number, bytes: number) =>
  driver.produce(
    topic,
    Array.from({ length: count }, (_, i) => ({ partition, value: `${i} ${"x".repeat(bytes)}` })),
  );

/** What kafka-get-offsets says of the topic's partitions, in their order. */
async function offsets(topic: string, time: "-2" | "-1"): Promise<number[]> {
  const args = ["--bootstrap-server", target.bootstrap, "--topic", topic, "--time", time];
  const lines = (await jvm.ok("kafka-get-offsets.sh", args)).trim().split("\n");
  return lines.map((line) => Number(line.split(":")[2]));
}

/** The names of a partition's files in order, but those that wait for their removal. */
const files = (topic: string): string[] =>
  readdirSync(target.partitionDir(topic, 0))
    .filter((name) => !name.endsWith(".deleted"))
    .sort();

/** The first offset of every record that kafka-dump-log reads in the topic's segments. */
async function dumped(topic: string): Promise<number[]> {
  const logs = files(topic).filter((name) => name.endsWith(".log"));
  const paths = logs.map((name) => join(target.partitionDir(topic, 0), name)).join(",");
  const said = await jvm.ok("kafka-dump-log.sh", ["--files", paths, "--deep-iteration", "--max-message-size", `${8 * MIB}`]);
  const lines = said.split("\n");
  expect(lines.filter((line) => line.startsWith("baseOffset: ") && !line.endsWith(" isvalid: true"))).toEqual([]);
  return lines.filter((line) => line.startsWith("| offset: ")).map((line) => Number(/\d+/.exec(line)![0]));
}

describe("kafka-delete-records", () => {
  const below = async (offset: number): Promise<string> => {
    const file = join(target.home, "offsets.json");
    writeFileSync(file, JSON.stringify({ version: 1, partitions: [{ topic: "cut", partition: 0, offset }] }));
    const { stdout } = await jvm.run("kafka-delete-records.sh", [
      "--bootstrap-server",
      target.bootstrap,
      "--offset-json-file",
      file,
    ]);
    return stdout;
  };

  test("moves the start; below it there is nothing, above it everything", async () => {
    await driver.createTopic("cut", 1);
    await fill("cut", 0, 100, 10);
    expect(await below(40)).toContain("partition: cut-0\tlow_watermark: 40");
    expect([await offsets("cut", "-2"), await offsets("cut", "-1")]).toEqual([[40], [100]]);
    const read = await driver.read("cut", { 0: 40 }, { 0: 100 });
    expect(read.map(({ offset }) => offset)).toEqual(Array.from({ length: 60 }, (_, i) => 40 + i));
    expect(await below(101)).toContain("OffsetOutOfRangeException");
    expect(await below(10)).toContain("low_watermark: 40");
  });

  test("an acknowledged start survives kill -9 and a clean restart", async () => {
    if (targetKind === "kafka") return; // it writes it down once a minute
    await target.kill();
    await target.start();
    expect(await offsets("cut", "-2")).toEqual([40]);
    await target.restart();
    expect(await offsets("cut", "-2")).toEqual([40]);
    expect(await below(-1)).toContain("low_watermark: 100");
    await target.kill();
    await target.start();
    expect([await offsets("cut", "-2"), await offsets("cut", "-1")]).toEqual([[100], [100]]);
    await fill("cut", 0, 1, 10);
    expect((await driver.read("cut", { 0: 100 }, { 0: 101 })).length).toBe(1);
  });

  test("a compacted topic's and internal topics' records cannot be deleted", async () => {
    await driver.createTopic("kept", 1, { "cleanup.policy": "compact" });
    const file = join(target.home, "kept.json");
    const partitions = [{ topic: "kept", partition: 0, offset: 0 }];
    writeFileSync(file, JSON.stringify({ version: 1, partitions }));
    const args = ["--bootstrap-server", target.bootstrap, "--offset-json-file", file];
    expect((await jvm.run("kafka-delete-records.sh", args)).stdout).toContain("PolicyViolationException");
  });
});

describe("retention", () => {
  test("by size: the oldest segments go, and Kafka's tools read what is left", async () => {
    const configs = { "segment.bytes": `${MIB}`, "retention.bytes": `${2 * MIB}`, "file.delete.delay.ms": "0" };
    await driver.createTopic("small", 1, configs);
    for (let i = 0; i < 6; i++) await fill("small", 0, 100, 10_000);
    const [start] = await until("old segments to go", async () => {
      const found = await offsets("small", "-2");
      return found[0]! > 200 ? found : null;
    });
    const segments = files("small").filter((name) => name.endsWith(".log"));
    const bytes = segments.reduce((sum, name) => sum + statSync(join(target.partitionDir("small", 0), name)).size, 0);
    expect(bytes).toBeGreaterThanOrEqual(2 * MIB);
    expect(bytes).toBeLessThan(3 * MIB);
    expect(Number(segments[0]!.slice(0, 20))).toBe(start!);
    const there = Array.from({ length: 600 - start! }, (_, i) => start! + i);
    expect(await dumped("small")).toEqual(there);
    expect((await driver.read("small", { 0: start! }, { 0: 600 })).map(({ offset }) => offset)).toEqual(there);
    await until(
      "their files to go",
      () => !readdirSync(target.partitionDir("small", 0)).some((name) => name.endsWith(".deleted")),
    );
  });

  test("by time: everything goes that is old, and the log goes on", async () => {
    await driver.createTopic("brief", 1, { "retention.ms": "500", "file.delete.delay.ms": "0" });
    await fill("brief", 0, 50, 100);
    await until("all to go", async () => (await offsets("brief", "-2"))[0] === 50);
    expect(await offsets("brief", "-1")).toEqual([50]);
    expect(await dumped("brief")).toEqual([]);
    await fill("brief", 0, 1, 100);
    expect((await driver.read("brief", { 0: 50 }, { 0: 51 })).length).toBe(1);
    await target.restart();
    await until("the last one to go", async () => (await offsets("brief", "-2"))[0] === 51);
  });
});

if (targetKind === "binary") {
  test("topics deleted and made again under load and kill -9: no old record appears, no directory stays", async () => {
    const topics = (...args: string[]) => jvm.run("kafka-topics.sh", ["--bootstrap-server", target.bootstrap, ...args]);
    const topicId = async (): Promise<string | undefined> =>
      /TopicId: (\S+)/.exec((await topics("--describe", "--topic", "again")).stdout)?.[1];
    const ids = new Set<string>();
    for (let round = 0; round < 5; round++) {
      const client = franzGo.start(target.bootstrap); // by its design a client has to be told to forget the old topic
      await until("the topic to be made", () => client.createTopic("again", 4).then(() => true));
      const id = (await topicId())!;
      expect(ids.has(id)).toBeFalse();
      ids.add(id);
      const records = Array.from({ length: 200 }, (_, i) => ({ partition: i % 4, value: `${round}:${i}` }));
      const load = (async () => {
        for (let i = 0; i < 20; i++) await client.produce("again", records);
      })().catch(() => {}); // its topic goes while it writes
      await sleep(20 + 60 * round);
      if (round % 2 === 0) {
        const deleting = topics("--delete", "--topic", "again");
        await sleep(round * 40);
        await target.kill();
        await target.start();
        await deleting;
        await until("the topic to go", async () => {
          await topics("--delete", "--topic", "again");
          return (await topicId()) === undefined;
        });
      } else await topics("--delete", "--topic", "again");
      await client.kill();
      await load;
    }
    const reader = franzGo.start(target.bootstrap);
    await until("the topic to be made", () => reader.createTopic("again", 2).then(() => true));
    await reader.produce(
      "again",
      [0, 1].map((partition) => ({ partition, value: "last" })),
    );
    expect(await reader.offsets("again", 2, "latest")).toEqual({ 0: 1, 1: 1 });
    expect((await reader.read("again", { 0: 0, 1: 0 }, { 0: 1, 1: 1 })).map(({ value }) => String(value))).toEqual([
      "last",
      "last",
    ]);
    await reader.close();
    const left = (): string[] =>
      readdirSync(target.dataDir).filter((name) => name.startsWith("again") && !/^again-[01]$/.test(name));
    await until("old directories to go", () => left().length === 0);
  }, 90_000);
}
