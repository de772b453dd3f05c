/** Values of records as Kafka 4.3.1 wrote them into its metadata log; what they mean is what kafka-dump-log --cluster-metadata-decoder says. */
import { describe, expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { buildBatch } from "../record/build.ts";
import { readKafkaMetadata } from "./import-metadata.ts";
import { ImportError } from "./import-source.ts";

const DIRECTORY = "/kafka/__cluster_metadata-0";

/** BEGIN_TRANSACTION_RECORD "Bootstrap records" and END_TRANSACTION_RECORD. */
const BEGIN = "01170001001212426f6f747374726170207265636f726473";
const END = "01180000";
/** ABORT_TRANSACTION_RECORD has the form of the end, with a nullable reason. */
const ABORT = "0119000000";
/** compacted, id wTJAjrv9QmGVr8rV4J-NHA */
const TOPIC_COMPACTED = "0102000a636f6d706163746564c132408ebbfd426195afcad5e09f8d1c00";
const COMPACTED_0 =
  "01030200000000c132408ebbfd426195afcad5e09f8d1c0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
/** cleanup.policy=compact, segment.ms=2000, segment.ms removed */
const CLEANUP_POLICY = "010400020a636f6d7061637465640f636c65616e75702e706f6c69637908636f6d7061637400";
const SEGMENT_MS = "010400020a636f6d7061637465640b7365676d656e742e6d73053230303000";
const NO_SEGMENT_MS = "010400020a636f6d7061637465640b7365676d656e742e6d730000";
/** empty, id GAxHh7I_SkaoM_Wo4-A3jg, two partitions */
const TOPIC_EMPTY = "01020006656d707479180c4787b23f4a46a833f5a8e3e0378e00";
const EMPTY_0 =
  "01030200000000180c4787b23f4a46a833f5a8e3e0378e0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
const EMPTY_1 =
  "01030200000001180c4787b23f4a46a833f5a8e3e0378e0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
/** gone, id 8wYQguARQjGm30k2RJApOQ, and its removal */
const TOPIC_GONE = "01020005676f6e65f3061082e0114231a6df49364490293900";
const REMOVE_GONE = "010900f3061082e0114231a6df49364490293900";
/** nextProducerId 1000, 2000 */
const PRODUCER_IDS_1000 = "010f0000000001000000000000000d00000000000003e800";
const PRODUCER_IDS_2000 = "010f000000000100000000000000f100000000000007d000";

/** A file of one batch for every list of values. */
function put(disk: FakeDisk, name: string, from: number, ...batches: string[][]): void {
  disk.makeDirectory(DIRECTORY);
  const file = disk.open(`${DIRECTORY}/${name}`, "create");
  let offset = from;
  let at = 0;
  for (const values of batches) {
    const records = values.map((hex) => ({ key: null, value: Buffer.from(hex, "hex"), timestampMs: 1 }));
    const bytes = buildBatch({ records, baseOffset: offset, leaderEpoch: 1 });
    file.write(bytes, at);
    at += bytes.length;
    offset += values.length;
  }
  file.close();
}

const newDisk = () => new FakeDisk({ random: new SeededRandom(1) });
const log = (offset: number): string => `${String(offset).padStart(20, "0")}.log`;

async function topicsOf(disk: FakeDisk): Promise<unknown> {
  const { topics } = await readKafkaMetadata(disk, DIRECTORY);
  return [...topics].map(([name, { id, partitions, configs }]) => [name, id, [...partitions], [...configs]]);
}

const EMPTY = ["empty", "GAxHh7I_SkaoM_Wo4-A3jg", [0, 1], []];

describe("Kafka's metadata log", () => {
  test("topics, partitions, configs and producer ids", async () => {
    const disk = newDisk();
    put(disk, log(0), 0, [TOPIC_COMPACTED, CLEANUP_POLICY, SEGMENT_MS, COMPACTED_0], [PRODUCER_IDS_1000]);
    put(disk, log(5), 5, [TOPIC_EMPTY, EMPTY_0, EMPTY_1], [NO_SEGMENT_MS], [PRODUCER_IDS_2000]);
    expect(await topicsOf(disk)).toEqual([["compacted", "wTJAjrv9QmGVr8rV4J-NHA", [0], [["cleanup.policy", "compact"]]], EMPTY]);
    const { nextProducerId, endOffset } = await readKafkaMetadata(disk, DIRECTORY);
    expect([nextProducerId, endOffset]).toEqual([2000, 10]);
  });

  test("a topic that was removed is not there", async () => {
    const disk = newDisk();
    put(disk, log(0), 0, [TOPIC_GONE], [TOPIC_EMPTY, EMPTY_0, EMPTY_1], [REMOVE_GONE]);
    expect(await topicsOf(disk)).toEqual([EMPTY]);
  });

  test("the newest snapshot, and the log from its offset on", async () => {
    const disk = newDisk();
    put(disk, "00000000000000000002-0000000001.checkpoint", 0, [TOPIC_GONE]);
    put(disk, "00000000000000000005-0000000001.checkpoint", 0, [TOPIC_EMPTY, EMPTY_0]);
    put(disk, log(3), 3, [TOPIC_COMPACTED, COMPACTED_0], [EMPTY_1]);
    expect(await topicsOf(disk)).toEqual([EMPTY]);
  });

  test("records of a transaction count when it ends, and not when it is aborted or open", async () => {
    const disk = newDisk();
    put(disk, log(0), 0, [BEGIN, TOPIC_EMPTY], [EMPTY_0, EMPTY_1, END], [BEGIN, TOPIC_GONE, ABORT], [BEGIN, TOPIC_COMPACTED]);
    expect(await topicsOf(disk)).toEqual([EMPTY]);
  });

  test.each<[what: string, value: string, says: string]>([
    ["a frame of another version", "0002000a", "frame of version 0"],
    ["a record of a version to come", "010301ff", ""],
    ["a partition of version 3", `010303${EMPTY_0.slice(6)}`, "PartitionRecord of version 3"],
    ["a record that ends early", TOPIC_EMPTY.slice(0, 12), ""],
  ])("%s is refused", async (_, value, says) => {
    const disk = newDisk();
    put(disk, log(0), 0, [value]);
    const error = await readKafkaMetadata(disk, DIRECTORY).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ImportError);
    expect((error as Error).message).toContain(says);
  });

  test("damage is refused", async () => {
    const disk = newDisk();
    put(disk, log(0), 0, [TOPIC_EMPTY]);
    disk.damage(`${DIRECTORY}/${log(0)}`, 70);
    await expect(readKafkaMetadata(disk, DIRECTORY)).rejects.toThrow("CRC");
  });
});
