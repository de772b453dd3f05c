/** Directories as Kafka leaves them, on the simulated disk of a broker, and what an import must make of them. */
import { expect } from "bun:test";
import { type ImportSummary, importTopics, readSource, type TopicOutcome } from "../../src/broker/import.ts";
import type { Partition } from "../../src/broker/partition.ts";
import { releaseChunks } from "../../src/bytes/chunks.ts";
import { crcIsValid } from "../../src/record/batch.ts";
import { buildBatch } from "../../src/record/build.ts";
import { BrokerWorld, sent } from "./broker-world.ts";

export const KAFKA_PATH = "/kafka";

export interface SourceBatch {
  readonly offset: number;
  readonly bytes: Buffer;
  readonly producerId: number;
}

export interface SourceLog {
  readonly segments: { readonly baseOffset: number; readonly batches: SourceBatch[] }[];
  readonly epochs: [epoch: number, startOffset: number][];
  endOffset: number;
  /** Where DeleteRecords has moved its start; absent: at its first segment. */
  startOffset?: number;
}

export interface SourceTopic {
  readonly name: string;
  readonly id: string;
  readonly logs: SourceLog[];
}

const fileName = (offset: number, suffix: string): string => `${String(offset).padStart(20, "0")}${suffix}`;
const uuid = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");

export class ImportWorld extends BrokerWorld {
  readonly topics: SourceTopic[] = [];
  /** Every file of the source, as written. */
  private readonly files = new Map<string, Buffer>();

  /** A file of the source, durable. */
  async put(path: string, bytes: Uint8Array | string): Promise<void> {
    const full = `${KAFKA_PATH}/${path}`;
    this.disk.makeDirectory(full.slice(0, full.lastIndexOf("/")));
    const file = this.disk.open(full, "create");
    const content = Buffer.from(bytes as string);
    file.truncate(0);
    file.write(content, 0);
    await this.clock.run(file.sync());
    file.close();
    this.files.set(full, content);
    for (const directory of [full.slice(0, full.lastIndexOf("/")), KAFKA_PATH, "/"])
      await this.clock.run(this.disk.syncDirectory(directory));
  }

  /** What every log directory has after a clean stop. */
  async putFrame(): Promise<void> {
    await this.put("meta.properties", "version=1\n");
    await this.put(".kafka_cleanshutdown", '{"version":0,"brokerEpoch":7}');
    await this.put("recovery-point-offset-checkpoint", "0\n0\n");
  }

  /** A topic of random logs. With `gaps`, as compaction leaves them. */
  async putTopic(name: string, partitions: number, gaps: boolean): Promise<SourceTopic> {
    const topic = { name, id: uuid(this.random.bytes(16)), logs: Array.from({ length: partitions }, () => this.makeLog(gaps)) };
    for (const [n, log] of topic.logs.entries()) await this.putLog(topic, n, log);
    this.topics.push(topic);
    await this.putStarts();
    return topic;
  }

  async putLog(topic: SourceTopic, n: number, log: SourceLog): Promise<void> {
    const directory = `${topic.name}-${n}`;
    for (const { baseOffset, batches } of log.segments)
      await this.put(`${directory}/${fileName(baseOffset, ".log")}`, Buffer.concat(batches.map(({ bytes }) => bytes)));
    await this.put(`${directory}/${fileName(log.segments[0]!.baseOffset, ".index")}`, Buffer.alloc(80)); // not to be believed
    await this.put(`${directory}/partition.metadata`, `version: 0\ntopic_id: ${topic.id}`);
    const epochs = log.epochs.map((entry) => `${entry.join(" ")}\n`).join("");
    await this.put(`${directory}/leader-epoch-checkpoint`, `0\n${log.epochs.length}\n${epochs}`);
  }

  private async putStarts(): Promise<void> {
    const lines = this.topics.flatMap(({ name, logs }) =>
      logs.flatMap(({ startOffset }, n) => (startOffset === undefined ? [] : [`${name} ${n} ${startOffset}\n`])),
    );
    await this.put("log-start-offset-checkpoint", `0\n${lines.length}\n${lines.join("")}`);
  }

  /** Kafka ran once more, between two imports: batches have gone from topics that are not here yet. */
  async compactWhatIsNotHere(): Promise<void> {
    const { random } = this;
    for (const topic of this.topics) {
      if (this.broker.image.topicByName(topic.name) !== undefined || random.chance(0.3)) continue;
      for (const [n, log] of topic.logs.entries()) {
        const last = log.segments.at(-1)!.batches.at(-1);
        for (const { batches } of log.segments) {
          const kept = batches.filter((batch) => batch === last || batch.producerId >= 0 || random.chance(0.4));
          batches.splice(0, batches.length, ...kept);
        }
        await this.putLog(topic, n, log);
      }
    }
  }

  /** The largest that stands in any log. */
  get maxProducerId(): number {
    const batches = this.topics.flatMap(({ logs }) =>
      logs.flatMap(({ segments }) => segments.flatMap((segment) => segment.batches)),
    );
    return Math.max(-1, ...batches.map(({ producerId }) => producerId));
  }

  private makeLog(gaps: boolean): SourceLog {
    const { random } = this;
    let offset = random.chance(0.3) ? 10 + random.int(1000) : 0;
    let epoch = random.int(3);
    const sequences = new Map<number, number>();
    const log: SourceLog = { segments: [], epochs: [[epoch, offset]], endOffset: 0 };
    for (let n = random.int(4); n >= 0; n--) {
      const batches: SourceBatch[] = [];
      const baseOffset = offset;
      const count = n === 0 && random.chance(0.3) ? 0 : 1 + random.int(12);
      for (let i = 0; i < count; i++) {
        if (gaps && random.chance(0.4)) offset += 1 + random.int(20);
        if (random.chance(0.1)) log.epochs.push([++epoch, offset]);
        const records = 1 + random.int(3);
        const producerId = random.chance(0.6) ? 3000 + random.int(3) : -1;
        const baseSequence = sequences.get(producerId) ?? 0;
        const bytes = buildBatch({
          records: Array.from({ length: records }, () => ({
            key: random.bytes(4),
            value: random.bytes(random.int(300)),
            timestampMs: this.clock.nowMs() - random.int(10_000),
          })),
          ...(producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence }),
          baseOffset: offset,
          leaderEpoch: epoch,
          compression: random.pick(["none", "none", "gzip", "zstd"] as const),
        });
        batches.push({ offset, bytes, producerId });
        sequences.set(producerId, baseSequence + records);
        offset += records;
      }
      log.segments.push({ baseOffset, batches });
      if (gaps && random.chance(0.3)) offset += random.int(5);
    }
    log.endOffset = log.segments.at(-1)!.batches.length === 0 ? log.segments.at(-1)!.baseOffset : offset;
    const last = log.segments.at(-1)!.batches.at(-1);
    if (last !== undefined) log.endOffset = last.offset + last.bytes.readInt32BE(23) + 1;
    const first = log.segments[0]!.baseOffset;
    if (random.chance(0.3)) log.startOffset = first + random.int(log.endOffset - first + 1);
    return log;
  }

  /** Begins an import; `outcomes` fills while it runs. */
  import(isStopped: () => boolean = () => false): { outcomes: TopicOutcome[]; done: Promise<ImportSummary> } {
    const outcomes: TopicOutcome[] = [];
    const { broker, disk } = this;
    const onTopic = (outcome: TopicOutcome) => void outcomes.push(outcome);
    const work = async () => importTopics({ broker, disk, sources: [readSource(disk, KAFKA_PATH)], isStopped, onTopic });
    const done = work();
    done.catch(() => {}); // a crash may leave nobody to look at it
    return { outcomes, done };
  }

  /** Compares every topic that is here with its source: it must be there whole. Returns their names. */
  async check(appended: ReadonlyMap<string, Buffer[]> = new Map()): Promise<string[]> {
    const found: string[] = [];
    for (const { name, id, logs } of this.topics) {
      const image = this.broker.image.topicByName(name);
      if (image === undefined) continue;
      found.push(name);
      expect([image.id, image.partitions.length]).toEqual([id, logs.length]);
      for (const [n, log] of logs.entries()) {
        expect(image.partitions[n]!.leaderEpoch).toBe(log.epochs.at(-1)![0] + 1);
        const more = appended.get(`${name}-${n}`) ?? [];
        await this.checkPartition(this.broker.partition(name, n)!, log, more);
      }
    }
    return found;
  }

  private async checkPartition(partition: Partition, source: SourceLog, more: readonly Buffer[]): Promise<void> {
    expect(partition.log.offline).toBeNull();
    const start = source.startOffset ?? source.segments[0]!.baseOffset;
    expect(partition.logStartOffset).toBe(start);
    const isThere = ({ offset, bytes }: SourceBatch): boolean => offset + bytes.readInt32BE(23) >= start;
    const batches = source.segments.flatMap((segment) => segment.batches.filter(isThere));
    const wanted = Buffer.concat([...batches.map(({ bytes }) => bytes), ...more]);
    const got: Uint8Array[] = [];
    for (let offset = partition.logStartOffset; offset < partition.logEndOffset; ) {
      const read = await this.clock.run(Promise.resolve(partition.read(offset, "read_committed", 2000, true)));
      if (read.bytes === 0) break;
      const bytes = Buffer.concat(await this.clock.run(sent(read.chunks)));
      releaseChunks(read.chunks);
      got.push(bytes);
      for (let at = 0; at < bytes.length; at += 12 + bytes.readInt32BE(at + 8)) {
        expect(crcIsValid(bytes, at)).toBe(true);
        offset = Number(bytes.readBigInt64BE(at)) + bytes.readInt32BE(at + 23) + 1;
      }
    }
    expect(Buffer.concat(got).equals(wanted)).toBe(true);
    if (more.length === 0) {
      expect(partition.logEndOffset).toBe(source.endOffset);
      const last = source.epochs.at(-1)![0];
      const below = source.endOffset;
      const known = source.epochs.filter(([, from], i) => from < below && (source.epochs[i + 1]?.[1] ?? below) > start);
      const epochs = [...known.map(([epoch, from]) => [epoch, Math.max(from, start)]), [last + 1, below]];
      const found: number[][] = partition.log.leaderEpochs.entries.map(({ epoch, startOffset }) => [epoch, startOffset]);
      expect(found).toEqual(epochs);
    }
  }

  /** Nothing of the source may ever change. */
  checkSource(): void {
    for (const [path, content] of this.files) {
      const file = this.disk.open(path, "read");
      const bytes = Buffer.alloc(file.size());
      file.read(bytes, 0);
      file.close();
      if (!bytes.equals(content)) throw new Error(`${path} has changed`);
    }
  }
}
