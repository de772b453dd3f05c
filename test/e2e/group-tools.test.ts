/**
 * What Kafka's tools do with groups: kafka-consumer-groups with every action and flag, and kafka-groups. Two groups of "orders" (3
 * partitions, 10 records each, one a minute): "readers" with two members, and "keepers", which only keeps offsets.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Driver, franzGo, librdkafka } from "../support/driver.ts";
import { startTarget, type Target } from "../support/target.ts";
import { ToolsJvm } from "../support/tools-jvm.ts";
import { until } from "../support/until.ts";

const FIRST_MS = Date.UTC(2026, 0, 1, 12);
const MINUTE_MS = 60_000;

let target: Target;
let jvm: ToolsJvm;
let writer: Driver;
const members: Driver[] = [];

beforeAll(async () => {
  jvm = new ToolsJvm();
  target = await startTarget({ settings: { "offsets.topic.compression.codec": "2" } });
  writer = franzGo.start(target.bootstrap);
  await writer.createTopic("orders", 3);
  await writer.createTopic("other", 1);
  const records = [0, 1, 2].flatMap((partition) =>
    Array.from({ length: 10 }, (_, i) => ({ partition, value: `${partition}:${i}`, timestampMs: FIRST_MS + i * MINUTE_MS })),
  );
  await writer.produce("orders", records);
  await writer.produce("other", [{ partition: 0, value: "x" }]);
  for (let i = 0; i < 2; i++) {
    const member = librdkafka.start(target.bootstrap);
    members.push(member);
    await member.join("orders", "readers");
  }
  await until("both to have a part", async () => {
    const states = await Promise.all(members.map((member) => member.member()));
    return states.every(({ partitions, records: read }) => partitions.length > 0 && read.length >= 10 * partitions.length);
  });
  for (const member of members) await member.commit();
}, 60_000);

afterAll(async () => {
  await Promise.all([jvm?.close(), writer?.close(), ...members.map((member) => member.close())]);
  await target?.destroy();
});

/** Every line that is not empty, without what is aligned with spaces. */
const tidy = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim().replaceAll(/\s+/g, " "))
    .filter((line) => line !== "");

async function groups(...args: string[]): Promise<string[]> {
  const { stdout, stderr } = await jvm.run("kafka-consumer-groups.sh", ["--bootstrap-server", target.bootstrap, ...args]);
  return tidy(stdout + stderr);
}

/** Rows of a table by the names of its columns. */
function table(lines: readonly string[]): Record<string, string>[] {
  const header = lines.findIndex((line) => line.startsWith("GROUP"));
  const names = lines[header]!.split(" ");
  return lines.slice(header + 1).map((line) => Object.fromEntries(line.split(" ").map((cell, i) => [names[i]!, cell])));
}

/** "partition:committed" of a group without members. */
async function committed(group: string, topic = "orders"): Promise<string[]> {
  const rows = table((await groups("--describe", "--group", group)).filter((line) => !line.startsWith("Consumer group")));
  return rows
    .filter((row) => row.TOPIC === topic)
    .map((row) => `${row.PARTITION}:${row["CURRENT-OFFSET"]}`)
    .sort();
}

const reset = (group: string, ...args: string[]) => groups("--reset-offsets", "--group", group, "--execute", ...args);

describe("a group with members", () => {
  test("is described: offsets, members and what they have, state", async () => {
    const offsets = table(await groups("--describe", "--group", "readers"));
    expect(
      offsets.map((row) => [row.TOPIC, row.PARTITION, row["CURRENT-OFFSET"], row["LOG-END-OFFSET"], row.LAG]).sort(),
    ).toEqual([0, 1, 2].map((partition) => ["orders", String(partition), "10", "10", "0"]));
    for (const row of offsets) expect([row.HOST, row["CLIENT-ID"]]).toEqual(["/127.0.0.1", "librdkafka-driver"]);
    expect(new Set(offsets.map((row) => row["CONSUMER-ID"])).size).toBe(2);

    const verbose = await groups("--describe", "--group", "readers", "--offsets", "--verbose");
    expect(table(verbose)).toHaveLength(3);

    const rows = table(await groups("--describe", "--group", "readers", "--members"));
    expect(rows.map((row) => row["#PARTITIONS"]).sort()).toEqual(["1", "2"]);
    const assignments = await groups("--describe", "--group", "readers", "--members", "--verbose");
    expect(assignments.flatMap((line) => /orders:[\d,]+/.exec(line) ?? []).sort()).toEqual(["orders:0,1", "orders:2"]);

    const [state] = table(await groups("--describe", "--group", "readers", "--state"));
    expect(state).toMatchObject({ GROUP: "readers", COORDINATOR: target.bootstrap, STATE: "Stable", "#MEMBERS": "2" });
    expect((await groups("--describe", "--group", "readers", "--state", "--verbose")).at(-1)).toContain("range Stable");
    expect(await groups("--describe", "--all-groups", "--state")).toHaveLength(2);
  });

  test("is neither deleted, nor are its offsets, nor are they reset", async () => {
    expect((await groups("--delete", "--group", "readers")).join(" ")).toContain("GroupNotEmptyException");
    expect((await groups("--delete-offsets", "--group", "readers", "--topic", "orders")).join(" ")).toContain(
      "GroupSubscribedToTopicException",
    );
    expect((await reset("readers", "--topic", "orders", "--to-earliest")).join(" ")).toContain(
      "Assignments can only be reset if the group 'readers' is inactive, but the current state is Stable.",
    );
    expect((await reset("readers", "--topic", "other", "--to-earliest")).join(" ")).toContain("is inactive");
  });
});

describe("offsets of a group without members", () => {
  const all = (offset: number) => [0, 1, 2].map((partition) => `${partition}:${offset}`);

  test("are set anew in every way that there is", async () => {
    await reset("keepers", "--topic", "orders", "--to-earliest");
    expect(await committed("keepers")).toEqual(all(0));
    await reset("keepers", "--topic", "orders:0,2", "--to-latest");
    expect(await committed("keepers")).toEqual(["0:10", "1:0", "2:10"]);
    await reset("keepers", "--topic", "orders", "--to-offset", "7");
    expect(await committed("keepers")).toEqual(all(7));
    await reset("keepers", "--topic", "orders:1", "--shift-by", "-3");
    await reset("keepers", "--topic", "orders:2", "--shift-by", "2");
    expect(await committed("keepers")).toEqual(["0:7", "1:4", "2:9"]);
    await reset("keepers", "--all-topics", "--to-datetime", "2026-01-01T12:03:00.000");
    expect(await committed("keepers")).toEqual(all(3));
    await reset("keepers", "--all-topics", "--to-datetime", "2030-01-01T00:00:00.000");
    expect(await committed("keepers")).toEqual(all(10)); // nothing is so new: the end
    const days = Math.ceil((Date.now() - FIRST_MS) / (24 * 60 * MINUTE_MS));
    await reset("keepers", "--all-topics", "--by-duration", `P${days}D`);
    expect(await committed("keepers")).toEqual(all(0));
    await reset("keepers", "--topic", "orders", "--to-offset", "999");
    expect(await committed("keepers")).toEqual(all(10)); // the tool keeps within the log
    await reset("keepers", "--all-topics", "--to-current");
    expect(await committed("keepers")).toEqual(all(10));
  });

  test("are planned, exported and imported", async () => {
    await reset("keepers", "--topic", "orders", "--to-offset", "5");
    const plan = await groups("--reset-offsets", "--group", "keepers", "--topic", "orders", "--to-earliest", "--dry-run");
    expect(plan.filter((line) => line.startsWith("keepers"))).toEqual([0, 1, 2].map((p) => `keepers orders ${p} 0`));
    expect(await committed("keepers")).toEqual(all(5));
    const exported = await groups("--reset-offsets", "--group", "keepers", "--topic", "orders", "--to-current", "--export");
    expect(exported.filter((line) => line.startsWith("orders,")).sort()).toEqual(["orders,0,5", "orders,1,5", "orders,2,5"]);
    const file = join(target.home, "offsets.csv");
    writeFileSync(file, "orders,0,1\norders,1,2\norders,2,3\n");
    await reset("keepers", "--from-file", file);
    expect(await committed("keepers")).toEqual(["0:1", "1:2", "2:3"]);
  });

  test("are deleted for a topic, for all its partitions or some", async () => {
    await reset("keepers", "--topic", "orders", "--topic", "other", "--to-latest");
    const some = await groups("--delete-offsets", "--group", "keepers", "--topic", "orders:0,2");
    expect(some[0]).toBe("Request succeeded for deleting offsets from group keepers.");
    expect(await committed("keepers")).toEqual(["1:10"]);
    await groups("--delete-offsets", "--group", "keepers", "--topic", "orders");
    expect([await committed("keepers"), await committed("keepers", "other")]).toEqual([[], ["0:1"]]);
    const unknown = await groups("--delete-offsets", "--group", "keepers", "--topic", "nonesuch");
    expect(unknown.join(" ")).toContain("UnknownTopicOrPartitionException");
    expect((await groups("--delete-offsets", "--group", "nobody", "--topic", "orders")).join(" ")).toContain(
      "GroupIdNotFoundException",
    );
  });
});

describe("all groups", () => {
  const listed = async (...args: string[]) => (await groups("--list", ...args)).sort();
  const kafkaGroups = async (...args: string[]) =>
    tidy(await jvm.ok("kafka-groups.sh", ["--bootstrap-server", target.bootstrap, "--list", ...args])).sort();

  test("are listed, by state and type", async () => {
    await reset("keepers", "--topic", "orders", "--to-latest");
    expect(await listed()).toEqual(["keepers", "readers"]);
    expect(await listed("--state")).toEqual(["GROUP STATE", "keepers Empty", "readers Stable"]);
    expect(await listed("--state", "stable")).toEqual(["GROUP STATE", "readers Stable"]);
    expect(await listed("--type")).toEqual(["GROUP TYPE", "keepers Classic", "readers Classic"]);
    expect(await listed("--type", "consumer")).toEqual(["GROUP TYPE"]);
    expect(await listed("--type", "classic", "--state", "Empty,PreparingRebalance")).toEqual([
      "GROUP TYPE STATE",
      "keepers Classic Empty",
    ]);
    expect(await kafkaGroups()).toEqual(["GROUP TYPE PROTOCOL", "keepers Classic", "readers Classic consumer"]);
    expect(await kafkaGroups("--consumer")).toEqual(["GROUP TYPE PROTOCOL", "keepers Classic", "readers Classic consumer"]);
    expect(await kafkaGroups("--group-type", "classic", "--protocol", "consumer")).toEqual([
      "GROUP TYPE PROTOCOL",
      "readers Classic consumer",
    ]);
    expect(await kafkaGroups("--group-type", "share")).toEqual(["GROUP TYPE PROTOCOL"]);
  });

  test("stand in __consumer_offsets, compressed as it was asked", async () => {
    const segments = [...new Bun.Glob("__consumer_offsets-*/*.log").scanSync(target.dataDir)]
      .map((name) => join(target.dataDir, name))
      .filter((path) => Bun.file(path).size > 0);
    const dumped = await jvm.ok("kafka-dump-log.sh", ["--offsets-decoder", "--files", segments.join(",")]);
    expect([...new Set(dumped.match(/compresscodec: \w+/g))]).toEqual(["compresscodec: snappy"]);
    expect(dumped.includes('key: {"type":"1","data":{"group":"keepers","topic":"orders","partition":0}}')).toBe(true);
  });

  test("one that is not there is said not to be", async () => {
    expect((await groups("--describe", "--group", "nobody")).join(" ")).toContain("GroupIdNotFoundException");
    expect((await groups("--delete", "--group", "nobody")).join(" ")).toContain("GroupIdNotFoundException");
  });

  test("survive a crash as they are, and are deleted once nobody is in them", async () => {
    await target.kill();
    await target.start();
    await until("both to be there", async () => (await listed()).join() === "keepers,readers"); // Kafka loads them after it answers
    expect(await committed("keepers")).toEqual(["0:10", "1:10", "2:10"]);
    for (const member of members) await member.leave();
    await until("the group to be empty", async () => (await groups("--list", "--state", "empty")).includes("readers Empty"));
    expect(await groups("--describe", "--group", "readers")).toContain("Consumer group 'readers' has no active members.");
    const deleted = await groups("--delete", "--group", "readers", "--group", "keepers");
    expect(deleted.join(" ")).toContain("was successful");
    expect(await listed()).toEqual([]);
    await target.restart();
    expect(await listed()).toEqual([]);
  });
});
