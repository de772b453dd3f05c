/** Kafka's tools for partitions, log directories, features and the quorum: what they print is what they print of Kafka. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { run } from "../support/tools.ts";
import { ToolsJvm } from "../support/tools-jvm.ts";
import { until } from "../support/until.ts";

const TOPIC = "administered";

let target: Target;
let tools: ToolsJvm;
let neutral: Driver;

beforeAll(async () => {
  target = await startTarget({ settings: { "node.id": "1" } });
  tools = new ToolsJvm();
  neutral = franzGo.start(target.bootstrap);
  await neutral.createTopic(TOPIC, 2);
  await until("the topic to be led", () => neutral.offsets(TOPIC, 2, "latest").then(() => true));
  const times = [3000, 5000, 4000];
  await neutral.produce(
    TOPIC,
    times.map((timestampMs) => ({ partition: 0, value: `at ${timestampMs}`, timestampMs })),
  );
});
afterAll(async () => {
  await tools?.close();
  await neutral?.close();
  await target?.destroy();
});

/** The exit code, and what was printed on stdout, trimmed. */
async function outcome(name: string, ...args: string[]): Promise<[code: number, stdout: string]> {
  const { code, stdout } = await tools.run(name, ["--bootstrap-server", target.bootstrap, ...args]);
  return [code, stdout.trim()];
}

async function file(name: string, content: object): Promise<string> {
  const path = join(target.home, `${name}.json`);
  await Bun.write(path, JSON.stringify(content));
  return path;
}

describe("kafka-topics --alter", () => {
  const alter = (...args: string[]) => outcome("kafka-topics.sh", "--alter", "--topic", TOPIC, ...args);
  const failed = (why: string): [number, string] => [1, `Error while executing topic command : ${why}`];

  test("adds partitions, where it is told to, and they take records", async () => {
    expect(await alter("--partitions", "3")).toEqual([0, ""]);
    expect(await alter("--partitions", "5", "--replica-assignment", "1,1,1,1,1")).toEqual([0, ""]);
    await until("the new partitions to be led", () => neutral.offsets(TOPIC, 5, "latest").then((at) => at[4] === 0));
    const { code } = await run(["kcat", "-b", target.bootstrap, "-P", "-t", TOPIC, "-p", "4"], { stdin: "fourth" });
    expect(code).toBe(0);
    expect((await neutral.read(TOPIC, { 4: 0 }, { 4: 1 })).map(({ value }) => String(value))).toEqual(["fourth"]);
    const [, described] = await outcome("kafka-topics.sh", "--describe", "--topic", TOPIC);
    expect(described).toContain("PartitionCount: 5");
    expect(described).toContain("Partition: 4\tLeader: 1\tReplicas: 1\tIsr: 1");
  });

  test("refuses what is no increase, and brokers that are not there", async () => {
    expect(await alter("--partitions", "5")).toEqual(failed("Topic already has 5 partition(s)."));
    expect(await alter("--partitions", "4")).toEqual(
      failed(`The topic ${TOPIC} currently has 5 partition(s); 4 would not be an increase.`),
    );
    expect(await alter("--partitions", "6", "--replica-assignment", "1,1,1,1,1,99")).toEqual(
      failed("The manual partition assignment includes broker 99, but no such broker is registered."),
    );
  });
});

test("kafka-get-offsets --time, by number and by name", async () => {
  const of = async (time: string) => (await outcome("kafka-get-offsets.sh", "--topic", TOPIC, "--time", time))[1].split("\n");
  const each = (...offsets: number[]) => offsets.map((offset, index) => `${TOPIC}:${index}:${offset}`);
  for (const latest of ["-1", "latest"]) expect(await of(latest)).toEqual(each(3, 0, 0, 0, 1));
  for (const earliest of ["-2", "earliest", "-4", "earliest-local"]) expect(await of(earliest)).toEqual(each(0, 0, 0, 0, 0));
  for (const maximum of ["-3", "max-timestamp"]) expect(await of(maximum)).toEqual([`${TOPIC}:0:1`, `${TOPIC}:4:0`]);
  for (const tiered of ["-5", "latest-tiered", "-6", "earliest-pending-upload"]) expect(await of(tiered)).toEqual([""]);
  expect((await of("3001"))[0]).toBe(`${TOPIC}:0:1`);
});

test("kafka-log-dirs: where every partition is, and its size", async () => {
  const described = async (...args: string[]) => {
    const [code, printed] = await outcome("kafka-log-dirs.sh", "--describe", ...args);
    expect(code).toBe(0);
    return JSON.parse(printed.split("\n").at(-1)!);
  };
  const { brokers } = await described("--topic-list", TOPIC);
  const [{ broker, logDirs }] = brokers;
  expect([broker, logDirs.length, logDirs[0].error, logDirs[0].logDir]).toEqual([1, 1, null, target.dataDir]);
  const partitions = logDirs[0].partitions.sort((a: { partition: string }, b: { partition: string }) =>
    a.partition < b.partition ? -1 : 1,
  );
  const bytesOf = async (index: number) => Bun.file(join(target.partitionDir(TOPIC, index), "00000000000000000000.log")).size;
  expect(partitions).toEqual(
    await Promise.all(
      [0, 1, 2, 3, 4].map(async (index) => ({
        partition: `${TOPIC}-${index}`,
        size: await bytesOf(index),
        offsetLag: 0,
        isFuture: false,
      })),
    ),
  );
  expect(partitions[0].size).toBeGreaterThan(100);
  expect((await described("--broker-list", "1")).brokers[0].logDirs[0].partitions.length).toBeGreaterThanOrEqual(5);
});

describe("kafka-features", () => {
  /** Of this Kafka, 4.4, or of the one that the tests are tested on, 4.3. */
  const newest = targetKind === "kafka" ? 30 : 33;
  const why = "The update failed for all features since the following feature had an error: ";
  const features = (...args: string[]) => outcome("kafka-features.sh", ...args);

  test("describe", async () => {
    const [code, described] = await features("describe");
    expect(code).toBe(0);
    expect(described).toMatch(
      /^Feature: metadata\.version +SupportedMinVersion: 3\.3-IV3 +SupportedMaxVersion: \S+.* Epoch: \d+$/m,
    );
  });

  test("upgrade, downgrade and disable", async () => {
    const feature = (level: number) => ["--feature", `metadata.version=${level}`];
    expect(await features("upgrade", ...feature(newest))).toEqual([0, `metadata.version was upgraded to ${newest}.`]);
    expect(await features("upgrade", ...feature(newest + 1))).toEqual([
      1,
      `Could not upgrade metadata.version to ${newest + 1}. ${why}Invalid update version ${newest + 1} for feature metadata.version. Local controller 1 only supports versions 7-${newest}`,
    ]);
    const refused = `Unsupported metadata.version downgrade from ${newest} to 29. `;
    const mightDelete = "Refusing to perform the requested downgrade because it might delete metadata information.";
    expect(await features("downgrade", ...feature(29))).toEqual([
      1,
      `Could not downgrade metadata.version to 29. ${why}${refused}${mightDelete}`,
    ]);
    expect(await features("downgrade", ...feature(29), "--dry-run")).toEqual([
      1,
      `Can not downgrade metadata.version to 29. ${why}${refused}${mightDelete}`,
    ]);
    expect(await features("downgrade", ...feature(29), "--unsafe")).toEqual([
      1,
      `Could not downgrade metadata.version to 29. ${why}${refused}Unsafe metadata downgrade is not supported in this version.`,
    ]);
    expect(await features("disable", "--feature", "nope.version")).toEqual([
      1,
      `Could not disable nope.version. ${why}Invalid update version 0 for feature nope.version. Feature nope.version not found.`,
    ]);
    expect(await features("upgrade", "--feature", "nope.version=1")).toEqual([
      1,
      `Could not upgrade nope.version to 1. ${why}Invalid update version 1 for feature nope.version. Local controller 1 does not support this feature.`,
    ]);
  });
});

test("kafka-metadata-quorum: one voter, which leads", async () => {
  const [code, status] = await outcome("kafka-metadata-quorum.sh", "describe", "--status");
  expect(code).toBe(0);
  for (const line of [/^ClusterId: +\S{22}$/m, /^LeaderId: +1$/m, /^LeaderEpoch: +1$/m, /^HighWatermark: +[1-9]\d*$/m])
    expect(status).toMatch(line);
  expect(status).toMatch(/^MaxFollowerLag: +0$/m);
  expect(status).toMatch(/^CurrentVoters: +\[\{"id": 1, .*"endpoints": \["\w+:\/\/127\.0\.0\.1:\d+"\]\}\]$/m);
  expect(status).toMatch(/^CurrentObservers: +\[\]$/m);
  const [, replication] = await outcome("kafka-metadata-quorum.sh", "describe", "--replication");
  const [head, leader, ...others] = replication.split("\n").map((line) => line.trim().split(/\s+/));
  expect(head).toEqual(["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"]);
  expect([leader![0], leader![3], leader![6], others]).toEqual(["1", "0", "Leader", []]);
  expect(Math.abs(Number(leader![4]) - Date.now())).toBeLessThan(60_000);
});

test("kafka-leader-election: every partition has its leader", async () => {
  const elect = (...args: string[]) => outcome("kafka-leader-election.sh", ...args);
  const unknown = (partition: string, why: string) =>
    `Error completing leader election (UNCLEAN) for partition: ${partition}: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: ${why}`;
  expect(await elect("--election-type", "preferred", "--all-topic-partitions")).toEqual([0, ""]);
  expect(await elect("--election-type", "preferred", "--topic", TOPIC, "--partition", "1")).toEqual([
    0,
    `Valid replica already elected for partitions ${TOPIC}-1`,
  ]);
  expect(await elect("--election-type", "unclean", "--topic", TOPIC, "--partition", "9")).toEqual([
    1,
    unknown(`${TOPIC}-9`, `No such partition as ${TOPIC}-9`),
  ]);
  const partitions = [
    { topic: TOPIC, partition: 0 },
    { topic: "nope", partition: 0 },
  ];
  expect(await elect("--election-type", "unclean", "--path-to-json-file", await file("elect", { partitions }))).toEqual([
    1,
    `Valid replica already elected for partitions ${TOPIC}-0\n${unknown("nope-0", "No such topic as nope")}`,
  ]);
});

describe("kafka-reassign-partitions: replicas are where they can be", () => {
  const reassign = (...args: string[]) => outcome("kafka-reassign-partitions.sh", ...args);
  const plan = (name: string, ...partitions: { partition: number; replicas: number[]; log_dirs?: string[] }[]) =>
    file(name, { version: 1, partitions: partitions.map((one) => ({ topic: TOPIC, ...one })) });

  test("--generate and --list", async () => {
    const topics = await file("move", { version: 1, topics: [{ topic: TOPIC }] });
    const [code, printed] = await reassign("--topics-to-move-json-file", topics, "--broker-list", "1", "--generate");
    expect(code).toBe(0);
    const [current, proposed] = printed
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line));
    expect(current.partitions[4]).toEqual({ topic: TOPIC, partition: 4, replicas: [1], log_dirs: [target.dataDir] });
    expect(proposed.partitions[4]).toEqual({ topic: TOPIC, partition: 4, replicas: [1], log_dirs: ["any"] });
    expect(await reassign("--list")).toEqual([0, "No partition reassignments found."]);
  });

  test("--execute to where they are", async () => {
    const there = await plan(
      "there",
      { partition: 0, replicas: [1], log_dirs: [target.dataDir] },
      { partition: 1, replicas: [1], log_dirs: ["any"] },
    );
    const [code, printed] = await reassign("--reassignment-json-file", there, "--execute");
    expect(code).toBe(0);
    expect(printed).toContain(`Successfully started partition reassignments for ${TOPIC}-0,${TOPIC}-1`);
    expect(printed).toContain(
      `Successfully started moving log directory to ${target.dataDir} for replica ${TOPIC}-0 with broker 1`,
    );
    const [verified, status] = await reassign("--reassignment-json-file", there, "--verify");
    expect(verified).toBe(0);
    expect(status).toContain(`Reassignment of partition ${TOPIC}-0 is completed.`);
    expect(status).toContain(`Reassignment of replica ${TOPIC}-0-1 completed successfully.`);
    const [cancelled, nothing] = await reassign("--reassignment-json-file", there, "--cancel");
    expect(cancelled).toBe(0);
    expect(nothing).toContain("None of the specified partition reassignments are active.");
  });

  test("--execute to a directory that there is not", async () => {
    const elsewhere = await plan("elsewhere", { partition: 0, replicas: [1], log_dirs: ["/elsewhere"] });
    const [code, printed] = await reassign("--reassignment-json-file", elsewhere, "--execute");
    expect(code).toBe(1);
    expect(printed).toContain(`Error: Failed to alter dir for ${TOPIC}-0-1`);
    expect(printed).toContain("LogDirNotFoundException");
  });
});
