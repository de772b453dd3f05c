/** Transactions of every client: whole or not at all, over restarts and kill -9; and what Kafka's tools say of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  franzGo,
  java,
  kafkajs,
  librdkafka,
  platformatic,
  type ReadRecord,
  type TransactionalClient,
  type TransactionalDriver,
} from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { toolOk } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";

const CLIENTS: TransactionalClient[] = [java, librdkafka, franzGo, kafkajs, platformatic];
const PARTITIONS = 3;
const SETTINGS = {
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
  "transaction.state.log.num.partitions": "5",
  "offsets.topic.num.partitions": "5",
  "group.initial.rebalance.delay.ms": "0",
};

let target: Target;
let reader: TransactionalDriver;

beforeAll(async () => {
  target = await startTarget({ settings: SETTINGS });
  reader = franzGo.start(target.bootstrap);
}, 60_000);

afterAll(async () => {
  await reader?.close();
  await target?.destroy();
});

/** Values by partition, in the order they were read. */
function byPartition(records: readonly ReadRecord[]): string[][] {
  const values: string[][] = Array.from({ length: PARTITIONS }, () => []);
  for (const { partition, value } of records) values[partition]!.push(String(value));
  return values;
}

/** What was committed so far, for each topic. */
const expected = new Map<string, string[][]>();

describe.each(CLIENTS.map((client) => [client.name, client] as const))("%s", (name, client) => {
  const topic = `of-${name}`;
  const values = (n: number): [number, string][] =>
    Array.from({ length: PARTITIONS }, (_, partition) => [partition, `${n} ${partition}`]);

  test("commits, aborts, is fenced; committed data is what consumers of it see", async () => {
    const driver = client.start(target.bootstrap);
    await reader.createTopic(topic, PARTITIONS);
    const about = { transactionalId: `id-of-${name}`, topic };
    const whole: string[][] = Array.from({ length: PARTITIONS }, () => []);
    for (let n = 0; n < 7; n++) {
      const ends = n % 3 === 1 ? ("abort" as const) : ("commit" as const);
      const offsets = client.commitsAnyOffsetInTransactions ? { group: `group-of-${name}`, offset: n } : null;
      await driver.transact({ ...about, instance: 0, values: values(n), offsets, ends });
      if (ends === "commit") for (const [partition, value] of values(n)) whole[partition]!.push(value);
    }
    if (client.fencesOthers) await driver.transact({ ...about, instance: 0, values: values(100), offsets: null, ends: "open" });
    const count = whole.flat().length;
    const readers = client.leavesOutAllAborted ? [driver, reader] : [reader];
    for (const each of readers) expect(byPartition(await each.committed(topic, PARTITIONS, count))).toEqual(whole);

    const instance = client.fencesOthers ? 1 : 0;
    await driver.transact({ ...about, instance, values: values(8), offsets: null, ends: "commit" });
    for (const [partition, value] of values(8)) whole[partition]!.push(value);
    if (client.fencesOthers) {
      const zombie = { ...about, instance: 0, values: values(101), offsets: null, ends: "commit" as const };
      await expect(driver.transact(zombie)).rejects.toThrow();
    }
    for (const each of readers) expect(byPartition(await each.committed(topic, PARTITIONS, count + PARTITIONS))).toEqual(whole);
    expected.set(topic, whole);
    await driver.kill();
  }, 90_000);
});

test("a client that dies leaves nothing: its transaction is aborted when its time is over", async () => {
  const driver = java.start(target.bootstrap);
  const topic = "of-java";
  await driver.transact({
    transactionalId: "dies",
    instance: 0,
    topic,
    values: [[0, "lost"]],
    offsets: { group: "group-of-java", offset: 1000 },
    ends: "open",
  });
  await driver.kill();
  const whole = expected.get(topic)!;
  const late = franzGo.start(target.bootstrap);
  await late.transact({ transactionalId: "late", instance: 0, topic, values: [[0, "late"]], offsets: null, ends: "commit" });
  whole[0]!.push("late");
  expect(byPartition(await reader.committed(topic, PARTITIONS, whole.flat().length))).toEqual(whole);
  await late.close();
}, 60_000);

test("offsets count with their transaction", async () => {
  const said = await toolOk("kafka-consumer-groups.sh", [
    ...["--bootstrap-server", target.bootstrap, "--describe"],
    ...CLIENTS.filter((client) => client.commitsAnyOffsetInTransactions).flatMap(({ name }) => ["--group", `group-of-${name}`]),
  ]);
  for (const { name, commitsAnyOffsetInTransactions } of CLIENTS)
    if (commitsAnyOffsetInTransactions) expect(said).toMatch(new RegExp(`group-of-${name}\\s+of-${name}\\s+0\\s+6\\s`));
}, 60_000);

test("kafka-transactions lists, describes and aborts", async () => {
  const tool = (...args: string[]) => toolOk("kafka-transactions.sh", ["--bootstrap-server", target.bootstrap, ...args]);
  const listed = await tool("list");
  for (const { name } of CLIENTS) expect(listed).toMatch(new RegExp(`id-of-${name}\\s+\\d+\\s+\\d+\\s+CompleteCommit`));
  expect(await tool("describe", "--transactional-id", "dies")).toMatch(/CompleteAbort/);
  const driver = java.start(target.bootstrap);
  await driver.transact({
    transactionalId: "held",
    instance: 0,
    topic: "of-java",
    values: [[1, "held"]],
    offsets: null,
    ends: "open",
  });
  const [, startOffset] = /\s(\d+)\s*$/m.exec(
    (await tool("describe-producers", "--topic", "of-java", "--partition", "1"))
      .split("\n")
      .find((line) => /\s\d+\s*$/.test(line))!,
  )!;
  await tool("abort", "--topic", "of-java", "--partition", "1", "--start-offset", startOffset!);
  await tool("find-hanging", "--topic", "of-java");
  await driver.kill();
  const whole = expected.get("of-java")!;
  expect(byPartition(await reader.committed("of-java", PARTITIONS, whole.flat().length))).toEqual(whole);
}, 90_000);

if (targetKind === "binary")
  test("all of it is there after a restart and after kill -9, and a transaction that was open then is aborted", async () => {
    const driver = java.start(target.bootstrap);
    const open = {
      instance: 0,
      topic: "of-java",
      values: [[2, "open"]] as [number, string][],
      offsets: null,
      ends: "open" as const,
    };
    await driver.transact({ transactionalId: "over-kill", ...open });
    await target.kill();
    await target.start();
    await driver.kill();
    await until("the open transaction to be aborted", async () =>
      /over-kill\s+\d+\s+\d+\s+CompleteAbort/.test(
        await toolOk("kafka-transactions.sh", ["--bootstrap-server", target.bootstrap, "list"]),
      ),
    );
    for (const [topic, whole] of expected)
      expect(byPartition(await reader.committed(topic, PARTITIONS, whole.flat().length))).toEqual(whole);
    await target.stop();
    await target.start();
    for (const [topic, whole] of expected)
      expect(byPartition(await reader.committed(topic, PARTITIONS, whole.flat().length))).toEqual(whole);
  }, 120_000);

if (targetKind === "binary")
  test("kafka-dump-log reads the transaction index and both internal topics", async () => {
    const files = (ending: string, directories: RegExp): string[] =>
      readdirSync(target.dataDir)
        .filter((name) => directories.test(name))
        .flatMap((name) =>
          readdirSync(join(target.dataDir, name))
            .filter((file) => file.endsWith(ending))
            .map((file) => join(target.dataDir, name, file)),
        );
    const dump = (paths: string[], ...options: string[]) => toolOk("kafka-dump-log.sh", ["--files", paths.join(","), ...options]);
    const aborted = await dump(files(".txnindex", /^of-/));
    expect(aborted).toMatch(/version: 0 producerId: \d+ firstOffset: \d+ lastOffset: \d+ lastStableOffset: \d+/);
    const state = await dump(files(".log", /^__transaction_state-/), "--transaction-log-decoder");
    expect(state).toMatch(/transactionalId.*id-of-java|transactional_id.*id-of-java/);
    expect(state).toMatch(/CompleteCommit|transactionStatus":4|"transactionStatus":4/i);
    const offsets = await dump(files(".log", /^__consumer_offsets-/), "--offsets-decoder");
    expect(offsets).toMatch(/endTxnMarker: COMMIT/);
    expect(offsets).toMatch(/isTransactional: true/);
  }, 60_000);

if (targetKind === "binary")
  test("a copy is exact, whatever dies meanwhile: the copier, or the broker by kill -9", async () => {
    await reader.createTopic("source", PARTITIONS);
    await reader.createTopic("copy", PARTITIONS);
    const begin = async () => {
      const copier = java.start(target.bootstrap);
      await copier.copy("source", "copy", "copiers");
      return copier;
    };
    let copier = await begin();
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      for (; !isOver; await sleep(20)) {
        const records = Array.from({ length: 5 }, (_, i) => ({ partition: (written + i) % PARTITIONS, value: `${written + i}` }));
        await reader.produce("source", records).then(
          () => {},
          () => {}, // what the topic holds in the end is what counts
        );
        written += 5;
      }
    })();
    for (let crash = 0; crash < 4; crash++) {
      await sleep(2500);
      if (crash % 2 === 0) {
        await target.kill();
        await target.start();
      } else {
        await copier.kill();
        copier = await begin();
      }
    }
    isOver = true;
    await writing;
    const source = byPartition(await reader.committed("source", PARTITIONS, 1));
    expect(source.flat().length).toBeGreaterThan(200);
    await until(
      "everything to be copied",
      async () => (await reader.committed("copy", PARTITIONS, 1)).length >= source.flat().length,
    );
    expect(byPartition(await reader.committed("copy", PARTITIONS, source.flat().length))).toEqual(source);
    await copier.kill();
  }, 120_000);
