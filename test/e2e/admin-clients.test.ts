/** The admin side of the clients: partitions, log directories, elections, reassignments, producers, the quorum, features. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Client,
  type Driver,
  franzGo,
  kafkajs,
  librdkafka,
  newKafkaPython,
  type ProcessDriver,
  platformatic,
} from "../support/driver.ts";
import { startTarget, type Target } from "../support/target.ts";
import { until } from "../support/until.ts";

let target: Target;
let neutral: Driver;

beforeAll(async () => {
  target = await startTarget({ settings: { "node.id": "1" } });
  neutral = franzGo.start(target.bootstrap);
});
afterAll(async () => {
  await neutral?.close();
  await target?.destroy();
});

/** What each client can ask for beside more partitions, and what it must hear. */
const expected: [Client, (bytes: number) => object][] = [
  [librdkafka, () => ({})],
  [kafkajs, () => ({ reassigned: "NONE", reassignments: 0 })],
  [platformatic, (logDirBytes) => ({ logDirBytes, maxTimestampOffset: 1 })],
  [
    franzGo,
    (logDirBytes) => ({
      logDirBytes,
      election: "ELECTION_NOT_NEEDED",
      cancelled: "NO_REASSIGNMENT_IN_PROGRESS",
      maxTimestampOffset: 1,
    }),
  ],
  [
    newKafkaPython,
    (logDirBytes) => ({
      logDirBytes,
      election: 84, // ELECTION_NOT_NEEDED
      cancelled: "NO_REASSIGNMENT_IN_PROGRESS",
      quorumLeader: 1,
      features: expect.arrayContaining(["metadata.version"]),
      lastSequences: [2],
      maxTimestampOffset: 1,
    }),
  ],
];

for (const [client, answer] of expected)
  test(`${client.name} administers`, async () => {
    const topic = `by-${client.name}`;
    await neutral.createTopic(topic, 1);
    await until(`${topic} to be led`, () => neutral.offsets(topic, 1, "latest").then(() => true));
    const times = [3000, 5000, 4000];
    await neutral.produce(
      topic,
      times.map((timestampMs) => ({ partition: 0, value: `at ${timestampMs}`, timestampMs })),
    );
    const bytes = Bun.file(`${target.partitionDir(topic, 0)}/00000000000000000000.log`).size;
    const driver = client.start(target.bootstrap) as ProcessDriver;
    const told = await driver.ask("administer", { topic, partitions: 3 });
    await driver.close();
    expect(told).toEqual(answer(bytes));
    await until("the new partitions to be led", () => neutral.offsets(topic, 3, "latest").then((at) => at[2] === 0));
  });
