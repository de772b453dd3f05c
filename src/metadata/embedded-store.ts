/**
 * The metadata store of a single machine: a log of ours, `__cluster_metadata-0`. One transaction is one batch, so it is atomic;
 * its revision is the log end that it leaves; the watch is the tail of the log as it becomes durable; recovery is the same
 * `apply` over the log. A snapshot file bounds the replay.
 *
 * A transaction applies to the state in the moment of its append, so the guards of the next one see it. What it did is shown
 * (to watches, snapshots and its caller, conflicts too) when the log is durable that far, never before.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import { type Disk, DiskError, isFailedSync, replaceFile } from "../io/disk.ts";
import type { Log, LogConfig } from "../log/log.ts";
import type { LogDirectory } from "../log/log-directory.ts";
import { KafkaError } from "../protocol/errors.ts";
import { checkOps, type KvState } from "./kv-state.ts";
import { alignLog, batchOf, replay, revOf } from "./metadata-log.ts";
import { encodeSnapshot, readSnapshot } from "./snapshot-file.ts";
import type { Cmp, KV, KVEvent, MetadataStore, Op, Rev, Session, SessionId, TxnResult, WatchItem } from "./store.ts";
import { WatchHub } from "./watch-hub.ts";

/** The log of the metadata. The topic id is Kafka's own (Uuid.METADATA_TOPIC_ID). */
const METADATA_TOPIC = "__cluster_metadata";
const METADATA_TOPIC_ID = "AAAAAAAAAAAAAAAAAAAAAQ";
/** Beside the partition directories. */
const SNAPSHOT_FILE = "quarkmq-metadata-snapshot";

export const METADATA_LOG_CONFIG: LogConfig = {
  segmentBytes: 64 * 1024 * 1024,
  segmentMs: Number.MAX_SAFE_INTEGER,
  segmentJitterMs: 0,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 1024 * 1024,
  fileDeleteDelayMs: 0,
  deletes: false,
  compacts: false,
  retentionMs: -1,
  retentionBytes: -1,
  producerIdExpirationMs: Number.MAX_SAFE_INTEGER,
  maxProducers: 1,
  compaction: null,
};

/** A snapshot is written when so many bytes, and twice the bytes of the state, were logged since the last one. */
const SNAPSHOT_AFTER_BYTES = 4 * 1024 * 1024;

/** On one machine metadata partitions have one leader for ever. */
const LEADER_EPOCH = 0;

/** Opens the metadata log in a data directory, and the store over it. Rejects with a message for the operator. */
export async function openEmbeddedStore(
  o: Omit<EmbeddedStoreOptions, "log" | "snapshotPath"> & { logs: LogDirectory; dataPath: string },
) {
  // Never in page-cache mode: an id or a name that was given out must not be given out again after a power cut.
  const place = { topic: METADATA_TOPIC, partition: 0, topicId: METADATA_TOPIC_ID, durability: "sync" as const };
  const log = await o.logs.openLog({ ...place, config: METADATA_LOG_CONFIG });
  return EmbeddedStore.open({ ...o, log, snapshotPath: `${o.dataPath}/${SNAPSHOT_FILE}` });
}

export interface EmbeddedStoreOptions {
  /** Already recovered. The store alone appends to it and takes its `onDurable`; whoever opened it closes it. */
  readonly log: Log;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly snapshotPath: string;
  readonly snapshotAfterBytes?: number;
  /** Called when the disk cannot be trusted any more (a failed sync); the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** A committed transaction that is not durable yet. */
interface Pending {
  readonly rev: Rev;
  readonly events: readonly KVEvent[];
}

interface Waiter {
  readonly rev: Rev;
  /** True when everything up to `rev` is shown, false when the store closed before. */
  readonly resolve: (shown: boolean) => void;
}

export class EmbeddedStore implements MetadataStore {
  private readonly o: EmbeddedStoreOptions;
  private readonly log: Log;
  private readonly state: KvState;
  private readonly hub: WatchHub;
  private pending: Pending[] = [];
  private waiters: Waiter[] = [];
  private sessionsOpened = 0;
  private readonly sessions = new Set<EmbeddedSession>();
  private bytesSinceSnapshot: number;
  /** The snapshot that is being written. */
  private writing: Promise<boolean> | null = null;
  private closed = false;

  private constructor(o: EmbeddedStoreOptions, state: KvState, bytesSinceSnapshot: number) {
    this.o = o;
    this.log = o.log;
    this.state = state;
    this.bytesSinceSnapshot = bytesSinceSnapshot;
    this.hub = new WatchHub(state.rev);
    o.log.onDurable = () => this.release();
  }

  /** Rebuilds the state from the snapshot and the log. Throws when they do not fit together; nothing is repaired by guessing. */
  static async open(o: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    if (o.log.offline !== null) throw new Error(`the metadata log cannot be used: ${o.log.offline}`);
    const state = readSnapshot(o.disk, o.snapshotPath);
    await alignLog(o.log, state.rev);
    const replayedBytes = await replay(o.log, state);
    const store = new EmbeddedStore(o, state, replayedBytes);
    await store.shownUpTo(state.rev);
    await store.exchangeLongLog();
    await store.forgetFormerSessions();
    return store;
  }

  async txn(guard: readonly Cmp[], ops: readonly Op[]): Promise<TxnResult> {
    this.mustBeOpen();
    checkOps(ops);
    const current = this.state.conflict(guard);
    const rev = current === null ? this.commit(ops) : this.state.rev;
    const shown = await this.shownUpTo(rev);
    if (current !== null) return { kind: "conflict", rev, current };
    return shown ? { kind: "applied", rev } : { kind: "unknown" };
  }

  async snapshot(prefix: string): Promise<{ rev: Rev; kvs: KV[] }> {
    this.mustBeOpen();
    const rev = this.state.rev;
    const kvs = this.state.under(prefix).map((entry) => entry.kv);
    if (!(await this.shownUpTo(rev))) throw closedError();
    return { rev, kvs };
  }

  watch(prefix: string, after: Rev): AsyncIterable<WatchItem> {
    return this.hub.watch(prefix, after);
  }

  async openSession(_ttlMs: number): Promise<Session> {
    this.mustBeOpen();
    const session = new EmbeddedSession(`${++this.sessionsOpened}`, (id) => this.endSession(id));
    this.sessions.add(session);
    return session;
  }

  async barrier(): Promise<Rev> {
    this.mustBeOpen();
    const rev = this.state.rev;
    if (!(await this.shownUpTo(rev))) throw closedError();
    return rev;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const session of this.sessions) session.valid = false;
    for (const waiter of this.waiters.splice(0)) waiter.resolve(false);
    await this.writing;
    this.log.onDurable = null;
    this.hub.close();
  }

  /** Appends and applies. Returns the revision; throws KafkaError when the append failed, and then nothing was applied. */
  private commit(ops: readonly Op[]): Rev {
    const effective = this.state.effective(ops);
    if (effective.length === 0) return this.state.rev;
    const batch = batchOf(effective, this.o.clock.nowMs());
    const { lastOffset } = this.log.append(batch, LEADER_EPOCH);
    const rev = revOf(lastOffset + 1);
    this.pending.push({ rev, events: this.state.apply(rev, effective) });
    this.bytesSinceSnapshot += batch.bytes.length;
    this.release(); // it may be durable already: the log's call came before we had applied
    return rev;
  }

  /** Shows what became durable, to the watches first, so that who waits for a revision finds it there. */
  private release(): void {
    const durable = revOf(this.log.durableEndOffset);
    const shown = count(this.pending, durable);
    for (const { rev, events } of this.pending.splice(0, shown)) this.hub.show(rev, events);
    for (const waiter of this.waiters.splice(0, count(this.waiters, durable))) waiter.resolve(true);
    if (this.snapshotIsDue()) {
      this.writing = this.snapshotNow().finally(() => {
        this.writing = null;
      });
    }
  }

  private shownUpTo(rev: Rev): Promise<boolean> {
    if (rev <= revOf(this.log.durableEndOffset)) return Promise.resolve(true);
    if (this.closed) return Promise.resolve(false);
    return new Promise((resolve) => this.waiters.push({ rev, resolve }));
  }

  /** A session ends with its process at the latest. */
  private async forgetFormerSessions(): Promise<void> {
    await this.shownUpTo(this.commit(this.state.boundTo(null).map((key) => ({ del: key }))));
  }

  private async endSession(id: SessionId): Promise<void> {
    this.mustBeOpen();
    await this.shownUpTo(this.commit(this.state.boundTo(id).map((key) => ({ del: key }))));
  }

  private snapshotIsDue(): boolean {
    return this.writing === null && !this.closed && this.bytesSinceSnapshot >= this.snapshotAfterBytes;
  }

  private get snapshotAfterBytes(): number {
    return Math.max(this.o.snapshotAfterBytes ?? SNAPSHOT_AFTER_BYTES, 2 * this.state.bytes);
  }

  /** Writes the state down as it is now, once it is durable. False when that could not be done: the log is kept and replayed. */
  private async snapshotNow(): Promise<boolean> {
    this.bytesSinceSnapshot = 0; // when it fails, the next try comes after as much again
    const snapshot = encodeSnapshot(this.state);
    if (!(await this.shownUpTo(this.state.rev))) return false;
    try {
      await replaceFile(this.o.disk, this.o.snapshotPath, snapshot);
      return true;
    } catch (error) {
      if (error instanceof DiskError && !isFailedSync(error)) {
        this.o.logger.warn("no metadata snapshot could be written; the log is replayed at the next start", {
          error: error.message,
        });
      } else {
        this.o.onFatal(error);
      }
      return false;
    }
  }

  /**
   * Empties a log that has grown, at the start, when nobody else needs it. A crash before the snapshot is in place leaves the
   * old one and the whole log; one after it leaves a log that begins below the snapshot's end or at it, which `alignLog` sets right.
   */
  private async exchangeLongLog(): Promise<void> {
    if (this.log.sizeBytes < this.snapshotAfterBytes) return;
    if (await this.snapshotNow()) await this.log.truncateFullyAndStartAt(Number(this.state.rev));
  }

  private mustBeOpen(): void {
    if (this.closed) throw closedError();
  }
}

class EmbeddedSession implements Session {
  readonly id: SessionId;
  valid = true;
  private readonly end: (id: SessionId) => Promise<void>;

  constructor(id: SessionId, end: (id: SessionId) => Promise<void>) {
    this.id = id;
    this.end = end;
  }

  async close(): Promise<void> {
    if (!this.valid) return;
    this.valid = false;
    await this.end(this.id);
  }
}

const closedError = (): KafkaError => new KafkaError("BROKER_NOT_AVAILABLE", "the metadata store is closed");

/** How many stand at or below `rev` at the front of a list in the order of revisions. */
function count(ordered: readonly { readonly rev: Rev }[], rev: Rev): number {
  let n = 0;
  while (n < ordered.length && ordered[n]!.rev <= rev) n++;
  return n;
}
