/** Reading what Kafka 4.3.1 wrote into its metadata log. */
import { describe, expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { readKafkaMetadata } from "./import-metadata.ts";
import {
  ABORT,
  BEGIN,
  CLEANUP_POLICY,
  COMPACTED_0,
  COMPACTED_LEADER_1,
  COMPACTED_NO_LEADER,
  EMPTY_0,
  EMPTY_1,
  END,
  metadataLog,
  NO_SEGMENT_MS,
  PRODUCER_IDS_1000,
  PRODUCER_IDS_2000,
  REMOVE_GONE,
  SEGMENT_MS,
  TOPIC_COMPACTED,
  TOPIC_EMPTY,
  TOPIC_GONE,
} from "./import-metadata-rig.ts";
import { ImportError } from "./import-source.ts";

const DIRECTORY = "/kafka/__cluster_metadata-0";

/** A file of one batch for every list of values. */
function put(disk: FakeDisk, name: string, from: number, ...batches: string[][]): void {
  disk.makeDirectory(DIRECTORY);
  const file = disk.open(`${DIRECTORY}/${name}`, "create");
  file.write(metadataLog(from, ...batches), 0);
  file.close();
}

const newDisk = () => new FakeDisk({ random: new SeededRandom(1) });
const log = (offset: number): string => `${String(offset).padStart(20, "0")}.log`;

async function topicsOf(disk: FakeDisk): Promise<unknown> {
  const { topics } = await readKafkaMetadata(disk, DIRECTORY);
  return [...topics].map(([name, { id, partitions, configs }]) => [name, id, [...partitions.keys()], [...configs]]);
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

  test("a leader epoch begins with every change of the leader", async () => {
    const disk = newDisk();
    put(disk, log(0), 0, [TOPIC_COMPACTED, COMPACTED_0], [COMPACTED_NO_LEADER, COMPACTED_LEADER_1]);
    const { topics } = await readKafkaMetadata(disk, DIRECTORY);
    expect([...topics.get("compacted")!.partitions]).toEqual([[0, 2]]);
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
