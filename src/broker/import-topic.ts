/**
 * One topic that Kafka wrote: it comes whole or not at all. First all of it is checked, then copied beside its place, moved there, opened
 * (which checks the copy), and made known in one transaction. A crash before that leaves directories that no topic owns, and that say of
 * themselves that they are an import's: the next start removes them.
 */
import type { Logger } from "../base/logger.ts";
import type { ServerConfig } from "../config/server-options.ts";
import { checkTopicConfigs } from "../config/topic-options.ts";
import { type Disk, DiskError, isFailedSync } from "../io/disk.ts";
import { type Random, randomUuid } from "../io/random.ts";
import type { Log } from "../log/log.ts";
import type { Arrival, LogDirectory } from "../log/log-directory.ts";
import type { TopicImage } from "../metadata/image.ts";
import { SHARE_GROUP_STATE_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError } from "../protocol/errors.ts";
import { type CheckedPartition, checkPartition } from "./import-check.ts";
import { copyPartition, ImportStopped } from "./import-copy.ts";
import type { KafkaMetadata, KafkaTopic } from "./import-metadata.ts";
import { ImportError, type SourcePartition } from "./import-source.ts";
import type { ProducerIds } from "./producer-ids.ts";
import type { Topics } from "./topics.ts";
import type { Plan } from "./topics-plan.ts";

/** The part of the broker that it needs. */
export interface ImportingBroker {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly random: Random;
  readonly logs: LogDirectory;
  readonly topics: Pick<Topics, "planForeign">;
  readonly producerIds: Pick<ProducerIds, "startAt">;
  openLogs(topic: TopicImage): Promise<Log[]>;
  adoptTopic(topic: TopicImage, logs: readonly Log[]): Promise<void>;
}

/** What became of a topic: here, or refused with every reason that was found. */
export type TopicOutcome =
  | {
      readonly kind: "imported";
      readonly name: string;
      readonly partitions: number;
      readonly records: number;
      readonly bytes: number;
      /** What of it did not come along. */
      readonly notes: readonly string[];
    }
  | { readonly kind: "refused"; readonly name: string; readonly reasons: readonly string[] };

export interface TopicImportContext {
  readonly broker: ImportingBroker;
  readonly disk: Disk;
  isStopped(): boolean;
  /** Of the clusters that the partitions come from; none if it is not there. */
  readonly metadata: readonly KafkaMetadata[];
  /** The state of their transactions is here: what is open will be ended. */
  readonly takesOpen: boolean;
  /** No producer of theirs has this id or one above it; 0 when that is not known. */
  readonly nextProducerId: number;
}

/** Topics that nothing can be done with yet, whatever is in them. */
const NOT_SERVED: Readonly<Record<string, string>> = {
  [SHARE_GROUP_STATE_TOPIC]: "the state of share groups is not read yet",
};

/** Why the topic is not taken. */
class Refused extends Error {
  readonly reasons: readonly string[];
  constructor(reasons: readonly string[]) {
    super(reasons[0]);
    this.reasons = reasons;
  }
}

export class TopicImport {
  private readonly o: TopicImportContext;
  private readonly name: string;
  private readonly sources: readonly SourcePartition[];
  private readonly notes: string[] = [];

  /** `sources`: by partition number. */
  constructor(context: TopicImportContext, name: string, sources: readonly SourcePartition[]) {
    this.o = context;
    this.name = name;
    this.sources = sources;
  }

  /** Rejects with ImportStopped, and with DiskError after a failed sync; what is wrong with the topic is an outcome. */
  async run(): Promise<TopicOutcome> {
    const { name } = this;
    try {
      const partitions = await this.checkPartitions();
      const topic = this.plan(partitions);
      await this.bring(partitions, topic);
      const sum = (of: (partition: CheckedPartition) => number) => partitions.reduce((total, each) => total + of(each), 0);
      const sizes = { partitions: partitions.length, records: sum((each) => each.records), bytes: sum((each) => each.bytes) };
      return { kind: "imported", name, ...sizes, notes: this.notes };
    } catch (error) {
      const reasons = reasonsOf(error);
      if (reasons === null) throw error;
      return { kind: "refused", name, reasons };
    }
  }

  /** Reads everything, unless the name alone forbids it. */
  private async checkPartitions(): Promise<CheckedPartition[]> {
    const { broker, disk } = this.o;
    const notServed = NOT_SERVED[this.name];
    if (notServed !== undefined) throw new Refused([notServed]);
    const anything = { name: this.name, id: randomUuid(broker.random), leaderEpochs: [], configs: [] };
    const plan = broker.topics.planForeign(anything);
    if (plan instanceof KafkaError) throw new Refused([plan.message]);
    const reasons = this.numbering();
    const checked: CheckedPartition[] = [];
    for (const source of this.sources) {
      const { partition, faults } = await checkPartition(disk, source, this.o.takesOpen, this.o.isStopped);
      if (this.o.isStopped()) throw new ImportStopped();
      reasons.push(...faults);
      if (partition !== null) checked.push(partition);
    }
    const ids = new Set(checked.map(({ topicId }) => topicId).filter((id) => id !== null));
    if (ids.size > 1) reasons.push(`its partitions have different topic ids: ${[...ids].join(", ")}`);
    if (reasons.length > 0) throw new Refused(reasons);
    return checked;
  }

  /** Partitions must be there once each, from 0 on, up to what Kafka knows. */
  private numbering(): string[] {
    const reasons: string[] = [];
    let expected = 0;
    for (const { partition, path } of this.sources) {
      if (partition < expected) reasons.push(`partition ${partition} is there twice, once as ${path}`);
      if (partition > expected) reasons.push(missing(expected, partition - 1));
      expected = Math.max(expected, partition + 1);
    }
    const known = this.o.metadata.map((each) => each.topics.get(this.name)?.partitions.size ?? 0);
    const count = known.find((size) => size > 0) ?? 0;
    if (count > expected) reasons.push(missing(expected, count - 1));
    return reasons;
  }

  /** What the topic will be. */
  private plan(partitions: readonly CheckedPartition[]): TopicImage {
    const { broker } = this.o;
    const id = partitions.find(({ topicId }) => topicId !== null)?.topicId ?? randomUuid(broker.random);
    const known = this.known(id);
    const configs = [...(known?.configs ?? [])].filter(([name, value]) => this.isTaken(name, value));
    const plan: Plan = broker.topics.planForeign({
      name: this.name,
      id,
      // A new leader begins a new epoch; clients that knew the old one do not listen to a lower one.
      leaderEpochs: partitions.map(({ latestEpoch }, n) => Math.max(latestEpoch, known?.partitions.get(n) ?? 0) + 1),
      configs: configs.map(([name, value]) => ({ name, value })),
    });
    if (plan instanceof KafkaError) throw new Refused([plan.message]);
    return plan;
  }

  /** What Kafka's metadata says of the topic; null if there is none. */
  private known(id: string): KafkaTopic | null {
    const { metadata } = this.o;
    const topic = metadata.map((each) => each.topics.get(this.name)).find((each) => each?.id === id);
    if (topic !== undefined) return topic;
    if (metadata.length === 0) return null;
    throw new Refused([`Kafka's metadata knows no topic of this name and id (${id}): it was deleted`]);
  }

  private isTaken(config: string, value: string): boolean {
    const fault = checkTopicConfigs([[config, value]], this.o.broker.config);
    if (fault !== null) this.notes.push(`its config ${config}=${value} is left out: ${fault}`);
    return fault === null;
  }

  /** From the sources into the image. */
  private async bring(partitions: readonly CheckedPartition[], topic: TopicImage): Promise<void> {
    const { broker } = this.o;
    await this.copyAll(partitions, topic);
    const logs = await broker.openLogs(topic);
    try {
      const faults = logs.map((log, i) => copyFault(log, partitions[i]!)).filter((fault) => fault !== null);
      if (faults.length > 0) throw new Refused(faults);
      const aboveTheirs = Math.max(this.o.nextProducerId, ...partitions.map(({ maxProducerId }) => maxProducerId + 1));
      await broker.producerIds.startAt(aboveTheirs);
      await broker.adoptTopic(topic, logs);
    } catch (error) {
      for (const log of logs) await broker.logs.deleteLog(log);
      throw error;
    }
  }

  /** Everything is in its place, synced, when this resolves. */
  private async copyAll(partitions: readonly CheckedPartition[], topic: TopicImage): Promise<void> {
    const { broker, disk, isStopped } = this.o;
    const { logs } = broker;
    const arrivals: Arrival[] = [];
    try {
      for (const partition of partitions) {
        const { logStartOffset, source } = partition;
        const place = { topic: topic.name, partition: source.partition, logStartOffset };
        const directory = logs.temporaryDirectory(place.topic, place.partition);
        arrivals.push({ ...place, topicId: topic.id, directory });
        await copyPartition(disk, partition, topic.id, directory, isStopped);
      }
      await logs.bringIn(arrivals);
    } catch (error) {
      for (const { directory } of arrivals) logs.discardTemporary(directory);
      throw error;
    }
  }
}

/** What keeps a topic from being taken; null if it is more than that. */
function reasonsOf(error: unknown): readonly string[] | null {
  if (error instanceof Refused) return error.reasons;
  if (error instanceof ImportStopped) return null;
  if (error instanceof ImportError || error instanceof KafkaError) return [error.message];
  return error instanceof DiskError && !isFailedSync(error) ? [error.message] : null;
}

const missing = (from: number, to: number): string =>
  from === to ? `partition ${from} is missing` : `partitions ${from} to ${to} are missing`;

/** The log must have come out of its check as the source did. */
function copyFault(log: Log, { source, logStartOffset, logEndOffset }: CheckedPartition): string | null {
  if (log.offline !== null) return `${source.path}: its copy cannot be used: ${log.offline}`;
  if (log.logStartOffset === logStartOffset && log.logEndOffset === logEndOffset) return null;
  const [got, wanted] = [`${log.logStartOffset} to ${log.logEndOffset}`, `${logStartOffset} to ${logEndOffset}`];
  return `${source.path}: its copy has offsets ${got} where there should be ${wanted}`;
}
