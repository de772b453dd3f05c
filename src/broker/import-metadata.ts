/**
 * What Kafka's own metadata log says of its topics: their partitions and leader epochs, their configs, and which producer ids may be in
 * use. Read from the newest snapshot and the log behind it; nothing else of it is taken. Source: KRaft (KIP-500, KIP-630), MetadataDelta.
 */
import { Reader } from "../bytes/reader.ts";
import type { Disk } from "../io/disk.ts";
import { scanBatches } from "../log/batch-scan.ts";
import { LOG_SUFFIX, offsetOfFileName } from "../log/file-names.ts";
import { dataCodec } from "../protocol/compile.ts";
import { KafkaError, MalformedError } from "../protocol/errors.ts";
import {
  ConfigRecord,
  FRAME_VERSION,
  MetadataRecordType,
  PartitionChangeRecord,
  PartitionRecord,
  ProducerIdsRecord,
  RemoveTopicRecord,
  TopicRecord,
} from "../protocol/records/cluster-metadata.ts";
import { covers, type Data, type Fields, type Infer } from "../protocol/schema.ts";
import { isControl } from "../record/batch.ts";
import { records } from "../record/records.ts";
import { ImportError } from "./import-source.ts";

export interface KafkaTopic {
  readonly id: string;
  /** The leader epoch of each, by number. */
  readonly partitions: ReadonlyMap<number, number>;
  /** What was set for this topic. */
  readonly configs: ReadonlyMap<string, string>;
}

export interface KafkaMetadata {
  readonly topics: ReadonlyMap<string, KafkaTopic>;
  /** No producer has this id or one above it. */
  readonly nextProducerId: number;
  /** Where it ends. */
  readonly endOffset: number;
}

const SNAPSHOT = /^(\d{20})-\d{10}\.checkpoint$/;
const TOPIC_RESOURCE = 2;
const NO_LEADER_CHANGE = -2;
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;
const NO_CONFIGS: ReadonlyMap<string, string> = new Map();

/** Reads the directory of partition 0 of __cluster_metadata. Throws ImportError if it is not whole or has what we do not know; DiskError. */
export async function readKafkaMetadata(disk: Disk, directory: string): Promise<KafkaMetadata> {
  const names = (disk.list(directory) ?? []).map((entry) => entry.name);
  const replay = new Replay();
  const snapshot = names.filter((name) => SNAPSHOT.test(name)).at(-1); // of names with leading zeros the last is the newest
  let endOffset = 0;
  const start = snapshot === undefined ? 0 : Number(SNAPSHOT.exec(snapshot)![1]);
  if (snapshot !== undefined) await replay.file(disk, `${directory}/${snapshot}`, 0, 0);
  for (const name of names) {
    const base = offsetOfFileName(name, LOG_SUFFIX);
    if (base !== null) endOffset = await replay.file(disk, `${directory}/${name}`, base, start);
  }
  return { topics: replay.topics(), nextProducerId: replay.nextProducerId, endOffset };
}

class Replay {
  nextProducerId = 0;
  private readonly byId = new Map<string, { name: string; partitions: Map<number, number> }>();
  private readonly configs = new Map<string, Map<string, string>>();
  /** The records of a transaction that has not ended. */
  private pending: Buffer[] | null = null;

  topics(): Map<string, KafkaTopic> {
    const topics = new Map<string, KafkaTopic>();
    for (const [id, { name, partitions }] of this.byId)
      topics.set(name, { id, partitions, configs: this.configs.get(name) ?? NO_CONFIGS });
    return topics;
  }

  /** Applies the records of a file from offset `from` on; returns where it ends. */
  async file(disk: Disk, path: string, baseOffset: number, from: number): Promise<number> {
    const file = disk.open(path, "read");
    try {
      const range = { file, from: 0, to: file.size(), baseOffset, nextOffset: baseOffset, validate: true };
      const end = await scanBatches(range, (b, at) => {
        if (isControl(b, at)) return true;
        for (const { offset, value } of records(b, at, { maxBytes: MAX_DECOMPRESSED_BYTES }))
          if (offset >= from && value !== null) this.take(value);
        return true;
      });
      if (end.problem !== null) throw new ImportError(`${path}, offset ${end.nextOffset}, byte ${end.position}: ${end.problem}`);
      return end.nextOffset;
    } catch (error) {
      if (error instanceof KafkaError || error instanceof MalformedError) throw new ImportError(`${path}: ${error.message}`);
      throw error;
    } finally {
      file.close();
    }
  }

  private take(value: Buffer): void {
    const reader = new Reader(value);
    const frame = reader.uvarint();
    if (frame !== FRAME_VERSION)
      throw new ImportError(`a metadata record in a frame of version ${frame}, only ${FRAME_VERSION} is known`);
    const type = reader.uvarint();
    const { beginTransaction, endTransaction, abortTransaction } = MetadataRecordType;
    if (type === beginTransaction) this.pending = [];
    else if (type === endTransaction || type === abortTransaction) {
      const ended = this.pending ?? [];
      this.pending = null;
      if (type === endTransaction) for (const each of ended) this.take(each);
    } else if (this.pending === null) this.apply(type, reader.uvarint(), reader);
    else this.pending.push(Buffer.from(value));
  }

  private apply(type: number, version: number, reader: Reader): void {
    if (type === MetadataRecordType.topic) {
      const { topicId, name } = decode(TopicRecord, version, reader);
      this.byId.set(topicId, { name, partitions: new Map() });
    } else if (type === MetadataRecordType.partition) {
      const { topicId, partitionId, leaderEpoch } = decode(PartitionRecord, version, reader);
      this.byId.get(topicId)?.partitions.set(partitionId, leaderEpoch);
    } else if (type === MetadataRecordType.partitionChange) {
      const { topicId, partitionId, leader } = decode(PartitionChangeRecord, version, reader);
      const partitions = this.byId.get(topicId)?.partitions;
      if (leader !== NO_LEADER_CHANGE) partitions?.set(partitionId, (partitions.get(partitionId) ?? -1) + 1);
    } else if (type === MetadataRecordType.config) {
      const { resourceType, resourceName, name, value } = decode(ConfigRecord, version, reader);
      if (resourceType === TOPIC_RESOURCE) this.configure(resourceName, name, value);
    } else if (type === MetadataRecordType.removeTopic) {
      const { topicId } = decode(RemoveTopicRecord, version, reader);
      this.configs.delete(this.byId.get(topicId)?.name ?? "");
      this.byId.delete(topicId);
    } else if (type === MetadataRecordType.producerIds) {
      this.nextProducerId = Math.max(this.nextProducerId, decode(ProducerIdsRecord, version, reader).nextProducerId);
    }
  }

  private configure(topic: string, name: string, value: string | null): void {
    const configs = this.configs.get(topic) ?? new Map<string, string>();
    if (value === null) configs.delete(name);
    else configs.set(name, value);
    this.configs.set(topic, configs);
  }
}

function decode<F extends Fields>(schema: Data<F>, version: number, reader: Reader): Infer<F> {
  if (!covers(schema.declared, version))
    throw new ImportError(`a ${schema.name} of version ${version} in Kafka's metadata, only ${schema.declared} is known`);
  return dataCodec(schema, version).decode(reader);
}
