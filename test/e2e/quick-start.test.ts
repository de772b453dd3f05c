/** The README's Quick Start to the letter, with Apache Kafka's own tools, and the other tools that the README promises. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cache, kafkaBin } from "../support/paths.ts";
import { startTarget, type Target } from "../support/target.ts";
import { run, tool, toolOk } from "../support/tools.ts";
import { until } from "../support/until.ts";

let target: Target;
let server: string[];

beforeAll(async () => {
  target = await startTarget();
  server = ["--bootstrap-server", target.bootstrap];
});

afterAll(async () => {
  await target?.destroy();
});

/** Runs a line of the README in a shell; only the port is this test's. */
async function shell(line: string): Promise<string> {
  const { code, stdout, stderr } = await run(["sh", "-c", line.replaceAll("localhost:9092", `localhost:${target.port}`)], {
    env: { PATH: `${kafkaBin}:${process.env.PATH}`, QUARKMQ_TEST_CACHE: cache },
  });
  if (code !== 0) throw new Error(`${line} ended with ${code}\n${stdout}\n${stderr}\n${target.log().slice(-2000)}`);
  return stdout;
}

/** Runs a command that goes on for ever until its output satisfies `enough`, then interrupts it as a person would. */
async function shellUntil(line: string, enough: (stdout: string) => boolean): Promise<string> {
  const child = Bun.spawn(["sh", "-c", `exec ${line.replaceAll("localhost:9092", `localhost:${target.port}`)}`], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, PATH: `${kafkaBin}:${process.env.PATH}` },
  });
  let stdout = "";
  const decoder = new TextDecoder();
  const reading = (async () => {
    for await (const chunk of child.stdout) stdout += decoder.decode(chunk, { stream: true });
  })();
  try {
    await until(`${line} to print what is expected, not ${stdout}`, () => enough(stdout));
  } finally {
    child.kill("SIGINT");
    await child.exited;
    await reading;
  }
  return stdout;
}

const TOPICS = "kafka-topics.sh --bootstrap-server localhost:9092";

test("create a topic", async () => {
  expect(await shell(`${TOPICS} --create --topic test --partitions 3`)).toBe("Created topic test.\n");
});

test("produce messages", async () => {
  await shell('echo "hello quarkmq" | kafka-console-producer.sh --bootstrap-server localhost:9092 --topic test');
});

test("consume messages from the beginning", async () => {
  const line = "kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic test --from-beginning";
  expect(await shellUntil(line, (stdout) => stdout.includes("hello quarkmq\n"))).toStartWith("hello quarkmq\n");
});

test("list topics", async () => {
  expect((await shell(`${TOPICS} --list`)).split("\n")).toContain("test");
});

test("describe a topic", async () => {
  const described = await shell(`${TOPICS} --describe --topic test`);
  expect(described).toMatch(/^Topic: test\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs: /m);
  for (const p of [0, 1, 2])
    expect(described).toMatch(new RegExp(`\tPartition: ${p}\tLeader: (\\d+)\tReplicas: \\1\tIsr: \\1(\t|$)`, "m"));
});

test("a second topic of the same name is refused, and one with a bad name", async () => {
  const twice = await tool("kafka-topics.sh", [...server, "--create", "--topic", "test", "--partitions", "3"]);
  expect(twice.code).toBe(1);
  expect(twice.stdout).toContain("Topic 'test' already exists.");
  const tooMany = await tool("kafka-topics.sh", [...server, "--create", "--topic", "many", "--replication-factor", "3"]);
  expect(tooMany.code).toBe(1);
  expect(tooMany.stdout + tooMany.stderr).toContain("InvalidReplicationFactorException");
});

test("kafka-get-offsets", async () => {
  const lines = (await toolOk("kafka-get-offsets.sh", [...server, "--topic", "test"])).trim().split("\n").sort();
  expect(lines.map((line) => line.replace(/:\d+$/, ""))).toEqual(["test:0", "test:1", "test:2"]);
  expect(lines.map((line) => Number(line.split(":")[2])).reduce((a, b) => a + b)).toBe(1);
  const earliest = await toolOk("kafka-get-offsets.sh", [...server, "--topic", "test", "--time", "earliest"]);
  expect(earliest.trim().split("\n").sort()).toEqual(["test:0:0", "test:1:0", "test:2:0"]);
});

test("delete a topic", async () => {
  await shell(`${TOPICS} --delete --topic test`);
  expect((await shell(`${TOPICS} --list`)).split("\n")).not.toContain("test");
  const gone = await tool("kafka-topics.sh", [...server, "--describe", "--topic", "test"]);
  expect(gone.code).toBe(1);
});

/** What kafka-broker-api-versions 4.3.1 says of a Kafka 4.3.1 broker: API, lowest version, the version that the tool would use. */
const SERVED: [api: string, lowest: number, usable: number][] = [
  ["Produce(0)", 0, 13],
  ["Fetch(1)", 4, 18],
  ["ListOffsets(2)", 1, 11],
  ["Metadata(3)", 0, 13],
  ["OffsetCommit(8)", 2, 10],
  ["OffsetFetch(9)", 1, 10],
  ["FindCoordinator(10)", 0, 6],
  ["JoinGroup(11)", 0, 9],
  ["Heartbeat(12)", 0, 4],
  ["LeaveGroup(13)", 0, 5],
  ["SyncGroup(14)", 0, 5],
  ["ApiVersions(18)", 0, 4],
  ["CreateTopics(19)", 2, 7],
  ["DeleteTopics(20)", 1, 6],
  ["InitProducerId(22)", 0, 5],
  ["OffsetForLeaderEpoch(23)", 2, 4],
  ["DescribeConfigs(32)", 1, 4],
  ["ListPartitionReassignments(46)", 0, 0],
  ["DescribeCluster(60)", 0, 2],
  ["DescribeTopicPartitions(75)", 0, 0],
];

test("kafka-broker-api-versions", async () => {
  const said = await toolOk("kafka-broker-api-versions.sh", server);
  expect(said).toStartWith(`127.0.0.1:${target.port} (id: `);
  const found: [string, number, number][] = [];
  for (const [, api, lowest, usable] of said.matchAll(/^\t(\S+): (\d+)(?: to \d+)? \[usable: (\d+)\]/gm)) {
    found.push([api!, Number(lowest), Number(usable)]);
  }
  expect(found.filter(([api]) => SERVED.some(([wanted]) => wanted === api))).toEqual(SERVED);
});

test("kafka-producer-perf-test and kafka-consumer-perf-test", async () => {
  const produced = await toolOk("kafka-producer-perf-test.sh", [
    ...server,
    ...["--topic", "perf", "--num-records", "20000", "--record-size", "200", "--throughput", "-1"],
  ]);
  expect(produced).toMatch(/^20000 records sent, /m);
  const consumed = await toolOk("kafka-consumer-perf-test.sh", [
    ...server,
    ...["--topic", "perf", "--num-records", "20000", "--timeout", "10000"],
  ]);
  expect(consumed.trim().split("\n").at(-1)!.split(", ")[4]).toBe("20000");
});

test("kafka-verifiable-producer and kafka-verifiable-consumer", async () => {
  const events = (said: string) =>
    said
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map(
        (line) =>
          JSON.parse(line) as { name: string; offset: number; count: number; success: boolean; sent: number; acked: number },
      );
  const produced = events(
    await toolOk("kafka-verifiable-producer.sh", [...server, "--topic", "verified", "--max-messages", "100"]),
  );
  const successes = produced.filter((e) => e.name === "producer_send_success");
  expect(successes.map((e) => e.offset)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(produced.find((e) => e.name === "tool_data")).toMatchObject({ sent: 100, acked: 100 });
  const consumed = events(
    await toolOk("kafka-verifiable-consumer.sh", [
      ...server,
      "--topic",
      "verified",
      "--max-messages",
      "100",
      "--group-id",
      "verifier",
    ]),
  );
  const counts = consumed.filter((e) => e.name === "records_consumed").map((e) => e.count);
  expect(counts.reduce((a, b) => a + b, 0)).toBe(100);
  expect(consumed.filter((e) => e.name === "offsets_committed").every((e) => e.success)).toBe(true);
});

test("the console tools carry keys, headers, nulls and compression", async () => {
  const input = "h1:v1,h2:v2|k1|one\nh1:v3|k2|NUL\n";
  await toolOk(
    "kafka-console-producer.sh",
    [
      ...server,
      ...["--topic", "console", "--compression-codec", "zstd"],
      ...["parse.headers=true", "parse.key=true", "headers.delimiter=|", "key.separator=|", "null.marker=NUL"].flatMap((p) => [
        "--reader-property",
        p,
      ]),
    ],
    { stdin: input },
  );
  const said = await toolOk("kafka-console-consumer.sh", [
    ...server,
    ...["--topic", "console", "--from-beginning", "--max-messages", "2"],
    ...["print.headers=true", "print.key=true", "print.offset=true", "print.partition=true"].flatMap((p) => [
      "--formatter-property",
      p,
    ]),
  ]);
  expect(said).toBe("Partition:0\tOffset:0\th1:v1,h2:v2\tk1\tone\nPartition:0\tOffset:1\th1:v3\tk2\tnull\n");
});
