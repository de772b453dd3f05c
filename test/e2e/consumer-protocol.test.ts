/** Groups of the consumer protocol (KIP-848) with every client that speaks it, each for itself and all together, and Kafka's tools. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Driver, franzGo, java, newLibrdkafka, platformatic } from "../support/driver.ts";
import { cache, kafkaBin } from "../support/paths.ts";
import { startTarget, targetKind } from "../support/target.ts";
import { toolOk } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";
import { committedOffsets, emptyBench, feed, haveRead, rebalances, settled } from "./assertions.ts";

/** Everything ten times as fast as by default. */
const SETTINGS = {
  "group.consumer.migration.policy": "disabled",
  "group.consumer.min.session.timeout.ms": "4000",
  "group.consumer.session.timeout.ms": "4000",
  "group.consumer.min.heartbeat.interval.ms": "500",
  "group.consumer.heartbeat.interval.ms": "500",
  "group.consumer.assignment.interval.ms": "100",
};

const CLIENTS = [java, franzGo, newLibrdkafka, platformatic];

const bench = emptyBench("kip848");

beforeAll(async () => {
  bench.target = await startTarget({ settings: SETTINGS });
  bench.neutral = franzGo.start(bench.target.bootstrap);
  bench.own = bench.neutral;
});
afterAll(async () => {
  await bench.neutral?.close();
  await bench.target?.destroy();
});

const groupsTool = (...args: string[]): Promise<string> =>
  toolOk("kafka-consumer-groups.sh", ["--bootstrap-server", bench.target.bootstrap, ...args]);

for (const client of CLIENTS) {
  describe(client.name, () => {
    test("members join, leave and crash", () => rebalances(bench, client, "consumer"));
    test("reads on from committed offsets", () => committedOffsets(bench, client, "consumer"));
  });
}

test("members of all clients share one group, and the broker dies while they do", async () => {
  const topic = await bench.create(8);
  const group = `all-${topic}`;
  const members: Driver[] = [];
  try {
    for (const client of CLIENTS) {
      const member = client.start(bench.target.bootstrap);
      members.push(member);
      await member.join(topic, group, "consumer");
    }
    const shares = await settled(members, 8);
    expect(shares.map((share) => share.length)).toEqual([2, 2, 2, 2]);
    await haveRead(members, await feed(bench, topic, 8, "together"));
    for (const member of members) await member.commit();
    const described = await groupsTool("--describe", "--group", group, "--members", "--verbose");
    expect(described.split("\n").filter((line) => line.includes(topic)).length).toBe(4);
    const state = await groupsTool("--describe", "--group", group, "--state");
    expect(state).toMatch(/uniform\s+Stable\s+4/);
    expect(await groupsTool("--describe", "--group", group)).toContain(topic);

    // One more joins, the others have to let go, and the broker is killed in the middle of it.
    const late = franzGo.start(bench.target.bootstrap);
    members.push(late);
    await late.join(topic, group, "consumer");
    await sleep(150);
    await bench.again("kill", topic, 8);
    await settled(members, 8, 60_000);
    await haveRead(members, await feed(bench, topic, 8, "after the kill"));
    const offsets = await bench.neutral.offsets(topic, 8, "latest");
    expect(Object.values(offsets).reduce((sum, offset) => sum + offset)).toBe(160);
    // What was committed before is committed still.
    const lags = (await groupsTool("--describe", "--group", group)).split("\n").filter((line) => line.includes(topic));
    for (const line of lags) expect(Number(line.trim().split(/\s+/)[3])).toBeGreaterThanOrEqual(10);
  } finally {
    await Promise.all(members.map((member) => member.close()));
  }
});

test("the console consumer, by a name and by a pattern", async () => {
  const topic = await bench.create(2);
  const written = await feed(bench, topic, 2, "console");
  const consume = async (args: string[]): Promise<string[]> => {
    const command = [join(kafkaBin, "kafka-console-consumer.sh"), "--bootstrap-server", bench.target.bootstrap, ...args];
    const child = Bun.spawn(
      [...command, "--command-property", "group.protocol=consumer", "--from-beginning", "--max-messages", "20"],
      {
        stdout: "pipe",
        stderr: "ignore",
        env: { ...process.env, QUARKMQ_TEST_CACHE: cache } as Record<string, string>,
      },
    );
    const timer = setTimeout(() => child.kill("SIGKILL"), 40_000);
    const lines = (await new Response(child.stdout).text()).trim().split("\n");
    clearTimeout(timer);
    return lines.sort();
  };
  expect(await consume(["--topic", topic, "--group", "console"])).toEqual(written.sort());
  expect(await consume(["--include", `${topic}|nothing-of-.*`, "--group", "console-pattern"])).toEqual(written.sort());
  await until("an empty group", async () => (await groupsTool("--describe", "--group", "console", "--state")).includes("Empty"));
});

if (targetKind === "binary") {
  test("an operator can do without the protocol", async () => {
    const target = await startTarget({ settings: { "group.coordinator.rebalance.protocols": "classic" } });
    const driver = java.start(target.bootstrap);
    try {
      await driver.createTopic("t", 1);
      await driver.join("t", "g", "consumer");
      await until("a refusal", async () => (await driver.member()).fault.includes("UnsupportedVersion"));
    } finally {
      await driver.close();
      await target.destroy();
    }
  });
}
