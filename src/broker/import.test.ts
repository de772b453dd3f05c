/** What an import refuses, passes over, and lets through, on directories as Kafka lays them out. */
import { describe, expect, test } from "bun:test";
import { ImportWorld, KAFKA_PATH, type SourceLog, type SourceTopic } from "../../test/sim/import-world.ts";
import { buildBatch } from "../record/build.ts";
import { buildTransactionMarker } from "../record/control.ts";
import { ImportError, readSource, type TopicOutcome } from "./import.ts";
import {
  CLEANUP_POLICY,
  COMPACTED_0,
  COMPACTED_LEADER_1,
  COMPACTED_NO_LEADER,
  EMPTY_0,
  EMPTY_1,
  metadataLog,
  PRODUCER_IDS_2000,
  SEGMENT_MS,
  TOPIC_COMPACTED,
  TOPIC_EMPTY,
} from "./import-metadata-rig.ts";

const ID = "jDfXReeJSRSHhzxmhiTGaA";
const LOG = "00000000000000000000.log";

const record = (value: string) => ({ key: Buffer.from("k"), value: Buffer.from(value), timestampMs: 1_700_000_000_000 });
const batch = (baseOffset: number, more: object = {}): Buffer =>
  buildBatch({ records: [record("a"), record("b")], baseOffset, leaderEpoch: 0, ...more });
const oneLog = (...batches: Buffer[]): SourceLog => ({
  segments: [{ baseOffset: 0, batches: batches.map((bytes) => ({ offset: 0, bytes, producerId: -1 })) }],
  epochs: [[0, 0]],
  endOffset: 0,
});
const transactional = { producerId: 7, producerEpoch: 0, baseSequence: 0, isTransactional: true };
function marker(type: "abort" | "commit", offset: number, producerId = 7): Buffer {
  const bytes = buildTransactionMarker({ type, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestampMs: 1 });
  bytes.writeBigInt64BE(BigInt(offset), 0);
  bytes.writeInt32BE(0, 12);
  return bytes;
}

/** A started broker, and a log directory with the topic "t" of these logs. */
async function worldWith(...logs: SourceLog[]): Promise<{ world: ImportWorld; topic: SourceTopic }> {
  const world = new ImportWorld(1);
  await world.putFrame();
  const topic = { name: "t", id: ID, logs };
  for (const [n, log] of logs.entries()) await world.putLog(topic, n, log);
  await world.start();
  return { world, topic };
}

async function outcomesOf(world: ImportWorld): Promise<TopicOutcome[]> {
  const { outcomes, done } = world.import();
  await world.clock.run(done);
  return outcomes;
}

/** The reasons of the one topic, with the source's path left out; none if it was imported. */
async function reasonsOf(world: ImportWorld): Promise<string[]> {
  const [outcome, ...more] = await outcomesOf(world);
  expect(more).toEqual([]);
  const isHere = world.broker.image.topicByName("t") !== undefined;
  expect(isHere).toBe(outcome!.kind === "imported");
  return outcome!.kind === "imported" ? [] : outcome!.reasons.map((reason) => reason.replaceAll(`${KAFKA_PATH}/`, ""));
}

describe("a partition's files", () => {
  test("those that Kafka makes anew, or is about to remove, are left out", async () => {
    const { world } = await worldWith(oneLog(batch(0)));
    const names = ["00000000000000000000.timeindex", "00000000000000000000.txnindex", "00000000000000000002.snapshot"];
    const leaving = ["00000000000000000000.log.deleted", "00000000000000000000.index.cleaned", "leader-epoch-checkpoint.tmp"];
    for (const name of [...names, ...leaving]) await world.put(`t-0/${name}`, "x");
    expect(await reasonsOf(world)).toEqual([]);
    await world.clock.advance(100); // the new leader epoch is written down
    const names2 = world.disk.list("/data/t-0")!.map(({ name }) => name);
    expect(names2).toEqual([LOG, "leader-epoch-checkpoint", "partition.metadata", "quarkmq-foreign-end"]);
  });

  test.each<[file: string, content: string, reason: string]>([
    ["what.is.this", "x", "t-0/what.is.this: not a file that is known in a partition's directory"],
    ["sub/file", "x", "t-0/sub: not a file that is known in a partition's directory"],
    [`${LOG}.swap`, "x", `t-0/${LOG}.swap: compaction was interrupted; start that Kafka once, so that it ends it`],
    ["partition.metadata", `version: 1\ntopic_id: ${ID}`, "t-0/partition.metadata: version 1, only 0 is known"],
    ["partition.metadata", "version: 0\n", "t-0/partition.metadata: damaged"],
    ["partition.metadata", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "t-0/partition.metadata: damaged"],
    ["leader-epoch-checkpoint", "1\n0\n", "t-0/leader-epoch-checkpoint: damaged or of an unknown version"],
  ])("%s is refused", async (file, content, reason) => {
    const { world } = await worldWith(oneLog(batch(0)));
    await world.put(`t-0/${file}`, content);
    expect(await reasonsOf(world)).toEqual([reason]);
  });

  test("without partition.metadata there is a new id, without checkpoint the batches tell the epochs", async () => {
    const { world } = await worldWith(oneLog(batch(0), batch(5, { leaderEpoch: 3 })));
    world.disk.remove(`${KAFKA_PATH}/t-0/partition.metadata`);
    world.disk.remove(`${KAFKA_PATH}/t-0/leader-epoch-checkpoint`);
    expect(await reasonsOf(world)).toEqual([]);
    expect(world.broker.image.topicByName("t")!.id).toMatch(/^[\w-]{22}$/);
    expect(world.broker.image.topicByName("t")!.id).not.toBe(ID);
    expect(world.broker.partition("t", 0)!.leaderEpoch).toBe(4);
    const epochs = world.broker.partition("t", 0)!.log.leaderEpochs.entries;
    expect(epochs.map(({ epoch, startOffset }) => [epoch, startOffset])).toEqual([
      [0, 0],
      [3, 5],
      [4, 7],
    ]);
  });

  test("a log that begins elsewhere than its files", async () => {
    for (const start of [0, 1, 2]) {
      const { world } = await worldWith(oneLog(batch(0)));
      await world.put("log-start-offset-checkpoint", `0\n1\nt 0 ${start}\n`);
      expect(await reasonsOf(world)).toEqual([]);
      expect(world.broker.partition("t", 0)!.logStartOffset).toBe(start);
      world.crash("power");
      await world.start();
      expect(world.broker.partition("t", 0)!.logStartOffset).toBe(start);
    }
    const { world: beyond } = await worldWith(oneLog(batch(0)));
    await beyond.put("log-start-offset-checkpoint", "0\n1\nt 0 3\n");
    expect((await reasonsOf(beyond)).join()).toContain("begins at offset 3, but ends at 2");
    const { world } = await worldWith();
    await world.put("t-0/00000000000000000010.log", batch(10));
    await world.put("log-start-offset-checkpoint", "0\n1\nt 0 4\n");
    expect((await reasonsOf(world)).join()).toContain("tiered storage");
  });
});

describe("batches", () => {
  const torn = batch(2).subarray(0, 70);
  const flipped = batch(2);
  flipped[flipped.length - 1]! ^= 1;
  const old = Buffer.concat([batch(0), batch(2)]);
  old[batch(0).length + 16] = 1; // magic
  const restart = "; start that Kafka once and stop it cleanly";
  const at = `t-0/${LOG}: offset 2, byte ${batch(0).length}: `;

  test.each<[what: string, log: Buffer, reason: string]>([
    ["torn", Buffer.concat([batch(0), torn]), `${at}a batch of ${batch(2).length} bytes, of which 70 are there${restart}`],
    ["damaged", Buffer.concat([batch(0), flipped]), `${at}the CRC is not that of the bytes${restart}`],
    ["zeros", Buffer.concat([batch(0), Buffer.alloc(100)]), `${at}zeros${restart}`],
    ["message format 1", old, `${at}message format 1, only 2 is read (Kafka 0.11 and later write it)`],
    ["offsets that go back", Buffer.concat([batch(0), batch(1)]), `${at}base offset 1 where at least 2 is expected${restart}`],
  ])("%s", async (_, bytes, reason) => {
    const { world } = await worldWith(oneLog(batch(0)));
    await world.put(`t-0/${LOG}`, bytes);
    expect(await reasonsOf(world)).toEqual([reason]);
  });

  test("transactions are taken, with what says which were aborted; markers without data, too", async () => {
    const { world } = await worldWith(
      oneLog(batch(0, transactional), marker("commit", 2), marker("abort", 3, 8), batch(4)),
      oneLog(batch(0, transactional), marker("abort", 2), batch(3, transactional), marker("abort", 5)),
    );
    expect(await reasonsOf(world)).toEqual([]);
    expect(world.broker.partition("t", 0)!.lastStableOffset).toBe(6);
    const abortedIn = async (index: number) => await world.broker.partition("t", index)!.log.abortedTransactions(0, 6);
    expect(await world.clock.run(Promise.all([abortedIn(0), abortedIn(1)]))).toEqual([
      [],
      [
        { producerId: 7, firstOffset: 0, lastOffset: 2, lastStableOffset: 3 },
        { producerId: 7, firstOffset: 3, lastOffset: 5, lastStableOffset: 6 },
      ],
    ]);
  });

  test("open ones are refused", async () => {
    const { world } = await worldWith(oneLog(batch(0)), oneLog(batch(0), batch(2, transactional)));
    expect(await reasonsOf(world)).toEqual([
      "t-1: the transaction of producer 7 at offset 2 is open; let it end before that Kafka is stopped",
    ]);
  });
});

describe("a topic", () => {
  test("needs all its partitions, of one id", async () => {
    const { world, topic } = await worldWith(oneLog(batch(0)));
    await world.putLog({ ...topic, id: "ne0YZ9y1Tf2QB0YOtmekng" }, 3, oneLog(batch(0)));
    await world.putLog(topic, 6, oneLog(batch(0)));
    expect(await reasonsOf(world)).toEqual([
      "partitions 1 to 2 are missing",
      "partitions 4 to 5 are missing",
      `its partitions have different topic ids: ${ID}, ne0YZ9y1Tf2QB0YOtmekng`,
    ]);
  });

  test("that is here already, or collides, is refused without being read", async () => {
    const { world } = await worldWith(oneLog(batch(0)));
    expect(await reasonsOf(world)).toEqual([]);
    world.disk.damage(`${KAFKA_PATH}/t-0/${LOG}`, 80);
    const again = await outcomesOf(world);
    expect(again).toEqual([{ kind: "refused", name: "t", reasons: ["Topic 't' already exists."] }]);
    await world.putLog({ name: "u", id: ID, logs: [] }, 0, oneLog(batch(0)));
    const [, sameId] = await outcomesOf(world);
    expect(sameId).toEqual({ kind: "refused", name: "u", reasons: [`Topic id ${ID} is that of topic 't'.`] });
  });

  test("of share groups is refused by name", async () => {
    const { world } = await worldWith();
    await world.putLog({ name: "__share_group_state", id: ID, logs: [] }, 0, oneLog(batch(0)));
    const outcomes = await outcomesOf(world);
    expect(outcomes.map((outcome) => [outcome.name, outcome.kind === "refused" && outcome.reasons.length])).toEqual([
      ["__share_group_state", 1],
    ]);
  });

  test("of transactions comes first, and lets open ones in: they are ended when their time is over", async () => {
    const { world } = await worldWith(oneLog(batch(0, transactional)));
    // TransactionLog's bytes: "tx" is Ongoing with producer 7, epoch 0 and partition t-0, begun when the world's clock begins.
    const key = Buffer.from("000000027478", "hex");
    const hex =
      "0001000000000000000700000000ea60010202740200000000000000018bcfe568010000018bcfe56800020008000000000000000702020002";
    const record = { key, value: Buffer.from(hex, "hex"), timestampMs: 1 };
    const state = buildBatch({ records: [record], baseOffset: 0, leaderEpoch: 0 });
    await world.putLog({ name: "__transaction_state", id: "ne0YZ9y1Tf2QB0YOtmekng", logs: [] }, 0, oneLog(state));
    const outcomes = await outcomesOf(world);
    expect(outcomes.map(({ name, kind }) => [name, kind])).toEqual([
      ["__transaction_state", "imported"],
      ["t", "imported"],
    ]);
    await world.stop();
    await world.start();
    expect(world.broker.partition("t", 0)!.lastStableOffset).toBe(0);
    await world.clock.advance(80_000);
    expect(world.broker.partition("t", 0)!.lastStableOffset).toBe(3);
  });

  test("of transactions must hold what the coordinator can load", async () => {
    const { world } = await worldWith();
    const record = { key: Buffer.from("000000027478", "hex"), value: Buffer.from("0007", "hex"), timestampMs: 1 };
    const state = buildBatch({ records: [record], baseOffset: 0, leaderEpoch: 0 });
    await world.putLog({ name: "__transaction_state", id: ID, logs: [] }, 0, oneLog(state));
    expect(await outcomesOf(world)).toMatchObject([{ name: "__transaction_state", kind: "refused" }]);
  });

  test("of groups must hold what the coordinator can load", async () => {
    const [group, offset] = ["0002000167", "0001000167000174 00000000"].map((hex) => Buffer.from(hex.replaceAll(" ", ""), "hex"));
    const newer = Buffer.from("000b0001", "hex"); // a share group's record: passed over
    const value = Buffer.from("0003000000000000002a ffffffff 0000 0000000000000001".replaceAll(" ", ""), "hex");
    const fine = { records: [offset!, newer].map((key) => ({ key, value, timestampMs: 1 })), baseOffset: 0, leaderEpoch: 0 };
    const world = new ImportWorld(1);
    const topic = { name: "__consumer_offsets", id: ID, logs: [] };
    await world.putLog(topic, 0, oneLog(buildBatch(fine)));
    await world.start();
    expect((await outcomesOf(world)).map(({ kind }) => kind)).toEqual(["imported"]);

    const other = new ImportWorld(1);
    const unknown = { records: [{ key: group!, value: Buffer.from("0063", "hex"), timestampMs: 1 }], baseOffset: 0 };
    await other.putLog(topic, 0, oneLog(buildBatch(fine), buildBatch({ ...unknown, baseOffset: 2, leaderEpoch: 0 })));
    await other.start();
    const [outcome] = await outcomesOf(other);
    expect(outcome!.kind === "refused" && outcome!.reasons[0]).toMatch(
      /__consumer_offsets-0\/0{20}\.log: offset 2, byte \d+: .*99/,
    );
  });
});

describe("with Kafka's own metadata", () => {
  /** The topics "empty" (two partitions) and "compacted" (one), as far as they are wanted. */
  async function worldKnowing(...logs: [topic: string, partition: number, id: string][]): Promise<ImportWorld> {
    const { world } = await worldWith();
    const records = [TOPIC_EMPTY, EMPTY_0, EMPTY_1, TOPIC_COMPACTED, COMPACTED_0, CLEANUP_POLICY, SEGMENT_MS, PRODUCER_IDS_2000];
    await world.put(`__cluster_metadata-0/${LOG}`, metadataLog(0, records));
    for (const [name, n, id] of logs) await world.putLog({ name, id, logs: [] }, n, oneLog(batch(0)));
    return world;
  }
  const COMPACTED_ID = "wTJAjrv9QmGVr8rV4J-NHA";
  const EMPTY_ID = "GAxHh7I_SkaoM_Wo4-A3jg";

  test("configs come along, and producer ids go on above Kafka's", async () => {
    const world = await worldKnowing(["compacted", 0, COMPACTED_ID]);
    expect((await outcomesOf(world)).map(({ kind }) => kind)).toEqual(["imported"]);
    expect([...world.broker.image.topicByName("compacted")!.configs]).toEqual([
      ["cleanup.policy", "compact"],
      ["segment.ms", "2000"],
    ]);
    expect(await world.clock.run(Promise.resolve(world.broker.producerIds.next()))).toBe(2000);
  });

  test("leader epochs go on above those that clients may have seen", async () => {
    const world = await worldKnowing(["compacted", 0, COMPACTED_ID]);
    const change = [COMPACTED_NO_LEADER, COMPACTED_LEADER_1, COMPACTED_NO_LEADER];
    await world.put(`__cluster_metadata-0/${LOG}`, metadataLog(0, [TOPIC_COMPACTED, COMPACTED_0, ...change]));
    await outcomesOf(world);
    expect(world.broker.partition("compacted", 0)!.leaderEpoch).toBe(4); // 3 while it had no leader, at last
  });

  test("topics of which nothing is here are named", async () => {
    const world = await worldKnowing(["compacted", 0, COMPACTED_ID]);
    const { done } = world.import();
    expect(await world.clock.run(done)).toEqual({ knewMetadata: true, elsewhere: ["empty"] });
  });

  test("partitions that are missing at the end are found out, and topics that were deleted", async () => {
    const world = await worldKnowing(["empty", 0, EMPTY_ID], ["compacted", 0, ID], ["stranger", 0, ID]);
    expect(await outcomesOf(world)).toEqual([
      {
        kind: "refused",
        name: "compacted",
        reasons: [`Kafka's metadata knows no topic of this name and id (${ID}): it was deleted`],
      },
      { kind: "refused", name: "empty", reasons: ["partition 1 is missing"] },
      {
        kind: "refused",
        name: "stranger",
        reasons: [`Kafka's metadata knows no topic of this name and id (${ID}): it was deleted`],
      },
    ]);
  });

  test("a config that Kafka had taken and we do not is left out, and told", async () => {
    const world = await worldKnowing(["compacted", 0, COMPACTED_ID]);
    const unknown = CLEANUP_POLICY.replace(
      Buffer.from("cleanup.policy").toString("hex"),
      Buffer.from("cleaner.policy").toString("hex"),
    );
    await world.put(`__cluster_metadata-0/${LOG}`, metadataLog(0, [TOPIC_COMPACTED, COMPACTED_0, unknown, SEGMENT_MS]));
    const [outcome] = await outcomesOf(world);
    expect(outcome!.kind === "imported" && outcome!.notes).toEqual([
      "its config cleaner.policy=compact is left out: Unknown topic config name: cleaner.policy",
    ]);
    expect([...world.broker.image.topicByName("compacted")!.configs.keys()]).toEqual(["segment.ms"]);
  });
});

describe("a directory", () => {
  async function refusal(world: ImportWorld, path = KAFKA_PATH): Promise<string> {
    try {
      readSource(world.disk, path);
      return "";
    } catch (error) {
      expect(error).toBeInstanceOf(ImportError);
      return (error as Error).message;
    }
  }

  test("must have been left in order", async () => {
    const { world } = await worldWith(oneLog(batch(0)));
    expect(await refusal(world)).toBe("");
    world.disk.remove(`${KAFKA_PATH}/.kafka_cleanshutdown`);
    expect(await refusal(world)).toContain("has no .kafka_cleanshutdown: its Kafka is running, or was not stopped cleanly");
    expect(await refusal(world, `${KAFKA_PATH}/t-0`)).toContain("has no .kafka_cleanshutdown");
  });

  test("must be one of Kafka, with partitions in it", async () => {
    const { world } = await worldWith();
    expect(await refusal(world)).toBe("/kafka: there are no partitions in it");
    expect(await refusal(world, "/nowhere")).toBe("/nowhere: there is no such directory");
    expect(await refusal(world, "/data")).toBe("/data is a data directory of quarkmq, not one of Kafka");
    await world.put("log-start-offset-checkpoint", "0\n2\nt 0 1\n");
    expect(await refusal(world)).toContain("damaged");
  });

  test("entries that are no partitions are named, unless they are Kafka's own", async () => {
    const { world } = await worldWith(oneLog(batch(0)));
    const unique = "0123456789abcdef0123456789abcdef";
    const strangers = ["notes.txt", "backup/file", `old-0.${unique}-delete/x`, `t-0.${unique}-future/x`, `s-1.${unique}-stray/x`];
    for (const path of [
      ...strangers,
      "cleaner-offset-checkpoint",
      ".lock",
      "bootstrap.checkpoint",
      "x-delete-0/leader-epoch-checkpoint",
    ])
      await world.put(path, "0\n0\n");
    const { partitions, passedOver } = readSource(world.disk, KAFKA_PATH);
    expect(partitions.map(({ topic, partition }) => `${topic}-${partition}`)).toEqual(["t-0", "x-delete-0"]);
    expect(passedOver.map(({ path, why }) => `${path.slice(KAFKA_PATH.length + 1)}: ${why}`)).toEqual([
      "backup: not a partition's directory",
      "notes.txt: not a file that is known",
      `old-0.${unique}-delete: its topic was deleted`,
      `s-1.${unique}-stray: Kafka did not find its topic any more`,
      `t-0.${unique}-future: an unfinished copy from another log directory`,
    ]);
  });

  test("of a single partition is taken as it is", async () => {
    const { world } = await worldWith(oneLog(batch(0)));
    await world.put("log-start-offset-checkpoint", "0\n1\nt 0 1\n");
    const { partitions, isWhole } = readSource(world.disk, `${KAFKA_PATH}/t-0`);
    expect(isWhole).toBe(false);
    expect(partitions).toEqual([{ topic: "t", partition: 0, path: `${KAFKA_PATH}/t-0`, logStartOffset: 1 }]);
  });
});
