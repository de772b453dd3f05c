/** One group of every client that there is, agreed on "roundrobin": each leads or follows as it comes, and together they read all. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import {
  type Client,
  type Driver,
  franzGo,
  java,
  kafkajs,
  kafkaPythonMember,
  librdkafka,
  platformatic,
} from "../support/driver.ts";
import { startTarget, type Target } from "../support/target.ts";
import { until } from "../support/until.ts";

const TOPIC = "mixed";
const GROUP = "all-clients";
const PARTITIONS = 12;
const clients: Pick<Client, "name" | "start">[] = [java, librdkafka, franzGo, kafkajs, platformatic, kafkaPythonMember];

let target: Target;
let writer: Driver;
const members = new Map<string, Driver>();

beforeAll(async () => {
  target = await startTarget();
  writer = franzGo.start(target.bootstrap);
  await writer.createTopic(TOPIC, PARTITIONS);
});
afterAll(async () => {
  await Promise.all([writer?.close(), ...[...members.values()].map((member) => member.close())]);
  await target?.destroy();
});

let written = 0;
/** Ten more records in each partition. */
async function write(): Promise<void> {
  const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition);
  const tens = Array.from({ length: 10 }, (_, i) => written + i);
  await writer.produce(
    TOPIC,
    partitions.flatMap((partition) => tens.map((n) => ({ partition, value: `${partition}:${n}` }))),
  );
  written += 10;
}

const states = async () => new Map(await Promise.all([...members].map(async ([name, m]) => [name, await m.member()] as const)));

/** All partitions, each with one owner, as many each as can be. */
async function shared(): Promise<void> {
  const share = Math.floor(PARTITIONS / members.size);
  await until(
    `${members.size} members to share the partitions`,
    async () => {
      const owned = [...(await states()).values()].map(({ partitions }) => partitions);
      const all = owned.flat().sort((a, b) => a - b);
      return owned.every(({ length }) => length >= share) && all.join() === [...Array(PARTITIONS).keys()].join();
    },
    { timeoutMs: 40_000 },
  );
}

/** Every record was read by somebody, and what is in a partition by its owner in order. */
async function readAll(): Promise<void> {
  const wanted = PARTITIONS * written;
  await until(`${wanted} records to be read`, async () => {
    const read = new Set<string>();
    for (const { records } of (await states()).values()) for (const { value } of records) read.add(String(value));
    for (const value of readByTheGone) read.add(value);
    return read.size === wanted;
  });
}

async function nothingWentWrong(): Promise<void> {
  for (const [name, { fault }] of await states()) expect(`${name}: ${fault}`).toBe(`${name}: `);
}

const readByTheGone = new Set<string>();
async function remember(name: string): Promise<Driver> {
  const driver = members.get(name)!;
  for (const { value } of (await driver.member()).records) readByTheGone.add(String(value));
  members.delete(name);
  return driver;
}

test("they join one after the other and share the partitions", async () => {
  await write();
  for (const { name, start } of clients) {
    const driver = start(target.bootstrap);
    members.set(name, driver);
    await driver.join(TOPIC, GROUP, "roundrobin");
    if (members.size === 3) await shared();
  }
  await shared();
  await write();
  await readAll();
  await nothingWentWrong();
  await Promise.all([...members.values()].map((member) => member.commit()));
}, 90_000);

test("the leader is killed, another leaves; the others go on where they were", async () => {
  await (await remember("java")).kill(); // it came first
  await write();
  const leaving = await remember("kafkajs");
  await leaving.leave();
  await leaving.close();
  await shared();
  await write();
  await readAll();
  await nothingWentWrong();
  await Promise.all([...members.values()].map((member) => member.commit()));
}, 90_000);

test("a crash of the broker is nothing to them", async () => {
  const before = [...(await states()).values()].map(({ partitions }) => partitions.join());
  await target.kill();
  await target.start();
  await shared();
  await write();
  await readAll();
  expect([...(await states()).values()].map(({ partitions }) => partitions.join())).toEqual(before); // nobody had to rejoin
}, 90_000);
