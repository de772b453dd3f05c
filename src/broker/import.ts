/** `quarkmq import`: which topics there are in what Kafka left, one after the other, and what is told of them. */

import type { Disk } from "../io/disk.ts";
import { TRANSACTION_STATE_TOPIC } from "../metadata/topic-name.ts";
import { ImportStopped } from "./import-copy.ts";
import { type KafkaMetadata, readKafkaMetadata } from "./import-metadata.ts";
import type { Source, SourcePartition } from "./import-source.ts";
import { type ImportingBroker, TopicImport, type TopicImportContext, type TopicOutcome } from "./import-topic.ts";

export { ImportStopped } from "./import-copy.ts";
export { ImportError, readSource, type Source } from "./import-source.ts";
export type { TopicOutcome } from "./import-topic.ts";

export interface ImportOptions {
  readonly broker: ImportingBroker;
  readonly disk: Disk;
  readonly sources: readonly Source[];
  /** Asked between steps and chunks. */
  isStopped(): boolean;
  /** Told of each topic as soon as it is decided: the state of transactions first, the others in the order of names. */
  onTopic(outcome: TopicOutcome): void;
}

/** What there was to know beside the topics. */
export interface ImportSummary {
  /** Kafka's own metadata was found: configs came along, and no partition was overlooked. */
  readonly knewMetadata: boolean;
  /** Topics that it names and that have no partition in the sources: they lie elsewhere. */
  readonly elsewhere: readonly string[];
}

/** Imports all topics. Rejects with ImportStopped, with ImportError when Kafka's metadata cannot be read, with DiskError after a failed sync. */
export async function importTopics(o: ImportOptions): Promise<ImportSummary> {
  const { broker, disk, isStopped } = o;
  const metadata = await readMetadata(o);
  const nextProducerId = Math.max(0, ...metadata.map((each) => each.nextProducerId));
  const topics = byTopic(o.sources);
  let takesOpen = false;
  for (const name of [TRANSACTION_STATE_TOPIC, ...topics.keys()].filter(
    (each, i) => i === 0 || each !== TRANSACTION_STATE_TOPIC,
  )) {
    const partitions = topics.get(name);
    if (partitions === undefined) continue;
    if (isStopped()) throw new ImportStopped();
    const context: TopicImportContext = { broker, disk, isStopped, metadata, takesOpen, nextProducerId };
    const outcome: TopicOutcome = await new TopicImport(context, name, partitions).run();
    if (name === TRANSACTION_STATE_TOPIC) takesOpen = outcome.kind === "imported";
    o.onTopic(outcome);
  }
  const known = o.sources.some((source) => source.isWhole) ? metadata.flatMap((each) => [...each.topics.keys()]) : [];
  const elsewhere = [...new Set(known)].filter((name) => !topics.has(name)).sort();
  return { knewMetadata: metadata.length > 0, elsewhere };
}

async function readMetadata({ disk, sources }: ImportOptions): Promise<KafkaMetadata[]> {
  const directories = new Set(sources.map((source) => source.metadataDirectory));
  const read: KafkaMetadata[] = [];
  for (const directory of directories) if (directory !== null) read.push(await readKafkaMetadata(disk, directory));
  return read.sort((a, b) => b.endOffset - a.endOffset); // of one cluster's brokers the one that knows most comes first
}

function byTopic(sources: readonly Source[]): Map<string, SourcePartition[]> {
  const found = sources.flatMap((source) => source.partitions);
  found.sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition));
  const topics = new Map<string, SourcePartition[]>();
  for (const partition of found) {
    const partitions = topics.get(partition.topic);
    if (partitions === undefined) topics.set(partition.topic, [partition]);
    else partitions.push(partition);
  }
  return topics;
}
