/**
 * Whether a partition that Kafka wrote can be taken over as it is: every file by name, every batch by its bytes. Nothing is written.
 * What we do not read yet is refused, with the file and the offset.
 */
import { decodeGroupRecord } from "../group/records.ts";
import { type Disk, DiskError, type DiskFile, readWholeFile } from "../io/disk.ts";
import { scanBatches } from "../log/batch-scan.ts";
import {
  EPOCHS_FILE,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  lastNameOf,
  offsetOfFileName,
  PARTITION_METADATA_FILE,
  SNAPSHOT_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from "../log/file-names.ts";
import { LeaderEpochs } from "../log/leader-epochs.ts";
import { decodePartitionMetadata } from "../log/partition-metadata.ts";
import { GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC } from "../metadata/topic-name.ts";
import { KafkaError, MalformedError } from "../protocol/errors.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import {
  BATCH_PREFIX_BYTES,
  baseOffset,
  hasProducerId,
  isControl,
  isTransactional,
  MAGIC,
  magic,
  partitionLeaderEpoch,
  producerId,
  recordCount,
} from "../record/batch.ts";
import { ControlType, controlType } from "../record/control.ts";
import { records } from "../record/records.ts";
import { decodeTransactionRecord } from "../txn/records.ts";
import type { SourcePartition } from "./import-source.ts";

/** What Kafka leaves for later, or removes at its next start. */
const LEFT_BEHIND = /\.(deleted|cleaned)$/;
/** Positions in a segment are of 32 bits. */
const MAX_SEGMENT_BYTES = 0x7fff_ffff;
/** Of a compressed batch of group records, decompressed: as the coordinator loads them. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;

export interface SourceSegment {
  readonly baseOffset: number;
  readonly path: string;
  readonly bytes: number;
}

/** A partition that can be taken. */
export interface CheckedPartition {
  readonly source: SourcePartition;
  /** Null if nothing in the directory says it. */
  readonly topicId: string | null;
  readonly segments: readonly SourceSegment[];
  /** leader-epoch-checkpoint as it is, null if there is none. */
  readonly epochs: Uint8Array | null;
  /** Of the checkpoint and of all batches; 0 if neither knows. */
  readonly latestEpoch: number;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  /** Records, without those that are for brokers only. */
  readonly records: number;
  readonly bytes: number;
  /** -1: none. */
  readonly maxProducerId: number;
}

/** Checks one partition; `takesOpen`: somebody will end transactions that are open. Either `partition`, or why not. Never throws for what is in the directory or cannot be read. */
export async function checkPartition(
  disk: Disk,
  source: SourcePartition,
  takesOpen: boolean,
  isStopped: () => boolean,
): Promise<{ readonly partition: CheckedPartition | null; readonly faults: readonly string[] }> {
  const check = new PartitionCheck(disk, source, takesOpen, isStopped);
  try {
    const partition = await check.run();
    return { partition: check.faults.length === 0 ? partition : null, faults: check.faults };
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    return { partition: null, faults: [...check.faults, `cannot be read: ${error.message}`] };
  }
}

class PartitionCheck {
  readonly faults: string[] = [];
  private readonly disk: Disk;
  private readonly source: SourcePartition;
  private readonly takesOpen: boolean;
  private readonly isStopped: () => boolean;
  private readonly isGroupLog: boolean;
  private readonly isTransactionLog: boolean;
  /** Where each transaction that has not ended begins, by producer id. */
  private readonly open = new Map<number, number>();
  private latestEpoch = -1;
  private maxProducerId = -1;
  private records = 0;

  constructor(disk: Disk, source: SourcePartition, takesOpen: boolean, isStopped: () => boolean) {
    this.disk = disk;
    this.source = source;
    this.takesOpen = takesOpen;
    this.isStopped = isStopped;
    this.isGroupLog = source.topic === GROUP_METADATA_TOPIC;
    this.isTransactionLog = source.topic === TRANSACTION_STATE_TOPIC;
  }

  async run(): Promise<CheckedPartition> {
    const segments = this.aboveStart(this.listFiles());
    const topicId = this.readTopicId();
    const epochs = this.readEpochs();
    let nextOffset = segments[0]?.baseOffset ?? 0;
    for (const [i, segment] of segments.entries()) {
      if (this.isStopped()) break;
      const end = await this.scan(segment, Math.max(nextOffset, segment.baseOffset), i === segments.length - 1);
      if (end === null) break;
      nextOffset = end;
    }
    this.checkTransactions();
    const logStartOffset = Math.max(segments[0]?.baseOffset ?? 0, this.source.logStartOffset ?? 0);
    if (logStartOffset > nextOffset) this.fault("", `the log begins at offset ${logStartOffset}, but ends at ${nextOffset}`);
    return {
      source: this.source,
      topicId,
      segments,
      epochs,
      latestEpoch: Math.max(0, this.latestEpoch),
      logStartOffset,
      logEndOffset: nextOffset,
      records: this.records,
      bytes: segments.reduce((sum, segment) => sum + segment.bytes, 0),
      maxProducerId: this.maxProducerId,
    };
  }

  private fault(file: string, what: string): void {
    this.faults.push(file === "" ? `${this.source.path}: ${what}` : `${this.source.path}/${file}: ${what}`);
  }

  /** The segments in order; every other file must be one that is known. */
  private listFiles(): SourceSegment[] {
    const segments: SourceSegment[] = [];
    for (const { name, isDirectory } of this.disk.list(this.source.path) ?? []) {
      const base = isDirectory ? null : offsetOfFileName(name, LOG_SUFFIX);
      if (base !== null) segments.push(this.segment(name, base));
      else if (name.endsWith(".swap")) this.fault(name, "compaction was interrupted; start that Kafka once, so that it ends it");
      else if (isDirectory || !isKnown(name)) this.fault(name, "not a file that is known in a partition's directory");
    }
    if (segments.length === 0) this.fault("", "there is no log in it");
    return segments.sort((a, b) => a.baseOffset - b.baseOffset);
  }

  private segment(name: string, base: number): SourceSegment {
    const path = `${this.source.path}/${name}`;
    const bytes = this.withFile(path, (file) => file.size());
    if (bytes > MAX_SEGMENT_BYTES) this.fault(name, `${bytes} bytes are more than a segment can have`);
    return { baseOffset: base, path, bytes };
  }

  private readTopicId(): string | null {
    const bytes = readWholeFile(this.disk, `${this.source.path}/${PARTITION_METADATA_FILE}`);
    if (bytes === null) return null;
    const version = /^version:\s+(\d+)$/m.exec(Buffer.from(bytes).toString("latin1"))?.[1] ?? "none";
    const topicId = decodePartitionMetadata(bytes);
    if (version !== "0") this.fault(PARTITION_METADATA_FILE, `version ${version}, only 0 is known`);
    else if (topicId === null || RESERVED_IDS.has(topicId)) this.fault(PARTITION_METADATA_FILE, "damaged");
    return topicId;
  }

  private readEpochs(): Uint8Array | null {
    const bytes = readWholeFile(this.disk, `${this.source.path}/${EPOCHS_FILE}`);
    const epochs = new LeaderEpochs();
    if (bytes === null) return null;
    if (!epochs.load(bytes)) this.fault(EPOCHS_FILE, "damaged or of an unknown version");
    this.latestEpoch = epochs.latest;
    return bytes;
  }

  /** Kafka's log begins where its first segment does, unless records were deleted or moved elsewhere. */
  /** Without those that DeleteRecords or retention had passed, and that Kafka would have removed next. */
  private aboveStart(segments: readonly SourceSegment[]): readonly SourceSegment[] {
    const { logStartOffset } = this.source;
    const first = segments[0];
    if (first === undefined || logStartOffset === null) return segments;
    if (logStartOffset < first.baseOffset)
      this.fault("", `the log begins at offset ${logStartOffset}, its files at ${first.baseOffset}: tiered storage is not read`);
    return segments.filter((_, i) => (segments[i + 1]?.baseOffset ?? Number.POSITIVE_INFINITY) > logStartOffset);
  }

  /** Reads a segment whole. Returns the offset behind it, null after a fault. */
  private async scan(segment: SourceSegment, nextOffset: number, isLast: boolean): Promise<number | null> {
    const name = lastNameOf(segment.path);
    const file = this.disk.open(segment.path, "read");
    let fault: string | null = null;
    try {
      const range = { file, from: 0, to: segment.bytes, baseOffset: segment.baseOffset, nextOffset, validate: true };
      const end = await scanBatches(range, (b, at) => {
        fault = this.take(b, at);
        return fault === null && !this.isStopped();
      });
      const problem = fault ?? end.problem;
      if (problem === null) return end.nextOffset;
      const format = fault === null ? oldFormat(file, end.position) : null;
      const advice = isLast && fault === null && format === null ? "; start that Kafka once and stop it cleanly" : "";
      this.fault(name, `offset ${end.nextOffset}, byte ${end.position}: ${format ?? problem}${advice}`);
      return null;
    } finally {
      file.close();
    }
  }

  /** Takes in a batch; returns what is wrong with it, or null. */
  private take(b: Buffer, at: number): string | null {
    this.latestEpoch = Math.max(this.latestEpoch, partitionLeaderEpoch(b, at));
    if (hasProducerId(b, at)) {
      this.maxProducerId = Math.max(this.maxProducerId, producerId(b, at));
      if (!Number.isSafeInteger(this.maxProducerId)) return "a producer id that is too large";
    }
    try {
      if (isControl(b, at)) return this.takeControl(b, at);
      this.records += recordCount(b, at);
      if (isTransactional(b, at) && !this.open.has(producerId(b, at))) this.open.set(producerId(b, at), baseOffset(b, at));
      if (this.isTransactionLog) this.takeTransactionRecords(b, at);
      return this.isGroupLog ? takeGroupRecords(b, at) : null;
    } catch (error) {
      if (error instanceof KafkaError || error instanceof MalformedError) return error.message;
      throw error;
    }
  }

  /** Every record must be one that the coordinator can load. Producer ids may be given out that have written nothing yet. */
  private takeTransactionRecords(b: Buffer, at: number): void {
    for (const { key, value } of records(b, at, { maxBytes: MAX_DECOMPRESSED_BYTES })) {
      const found = key === null ? null : decodeTransactionRecord(key, value);
      const { producerId: id, nextProducerId } = found?.value ?? { producerId: -1, nextProducerId: -1 };
      this.maxProducerId = Math.max(this.maxProducerId, id, nextProducerId);
    }
  }

  private takeControl(b: Buffer, at: number): string | null {
    const [marker] = records(b, at, { maxBytes: MAX_DECOMPRESSED_BYTES });
    if (marker === undefined) return null; // compaction leaves the batch
    const type = controlType(marker.key);
    if (type !== ControlType.abort && type !== ControlType.commit) return `a control record of type ${type}`;
    this.open.delete(producerId(b, at));
    return null;
  }

  private checkTransactions(): void {
    if (this.takesOpen || this.faults.length > 0) return; // what is open may end behind what could not be read
    for (const [id, offset] of this.open)
      this.fault("", `the transaction of producer ${id} at offset ${offset} is open; let it end before that Kafka is stopped`);
  }

  private withFile<T>(path: string, use: (file: DiskFile) => T): T {
    const file = this.disk.open(path, "read");
    try {
      return use(file);
    } finally {
      file.close();
    }
  }
}

/** Kafka's Uuid.ZERO_UUID and its id of the metadata topic: no topic has them. */
const RESERVED_IDS: ReadonlySet<string> = new Set([ZERO_UUID, "AAAAAAAAAAAAAAAAAAAAAQ"]);

const NAMES: ReadonlySet<string> = new Set([PARTITION_METADATA_FILE, EPOCHS_FILE]);
const SUFFIXES: readonly string[] = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX, SNAPSHOT_SUFFIX];

/** Whether Kafka's file of this name can be left out: it is made anew, or was on its way out. */
const isKnown = (name: string): boolean =>
  NAMES.has(name.replace(/\.tmp$/, "")) ||
  LEFT_BEHIND.test(name) ||
  SUFFIXES.some((suffix) => offsetOfFileName(name, suffix) !== null);

/** Every record must be one that the coordinator can load; those of groups that it does not know yet, it passes over. */
function takeGroupRecords(b: Buffer, at: number): null {
  for (const { key, value } of records(b, at, { maxBytes: MAX_DECOMPRESSED_BYTES }))
    if (key !== null) decodeGroupRecord(key, value);
  return null;
}

/** Says so if what begins at `position` is of a format before Kafka 0.11. */
function oldFormat(file: DiskFile, position: number): string | null {
  const prefix = Buffer.alloc(BATCH_PREFIX_BYTES);
  if (file.read(prefix, position) < prefix.length) return null;
  const found = magic(prefix, 0);
  const isOld = found >= 0 && found < MAGIC && prefix.readInt32BE(8) > 0;
  return isOld ? `message format ${found}, only ${MAGIC} is read (Kafka 0.11 and later write it)` : null;
}
