/**
 * A metadata store that forgets everything with its process: the model that the contract suite describes, and what tests of
 * code above the seam run on. It can be told to lose track of a transaction, as a remote store does.
 */
import { KafkaError } from "../protocol/errors.ts";
import { checkOps, KvState } from "./kv-state.ts";
import type { Cmp, KV, MetadataStore, Op, Rev, Session, SessionId, TxnResult, WatchItem } from "./store.ts";
import { WatchHub } from "./watch-hub.ts";

export class MemoryStore implements MetadataStore {
  /** Set by a test, used up by the next transaction: the outcome is reported as unknown though it applied, or did not. */
  loseTrack: "of applied" | "of refused" | null = null;
  private readonly state = new KvState();
  private readonly hub = new WatchHub(0n);
  private readonly sessions = new Set<MemorySession>();
  private opened = 0;
  private closed = false;

  async txn(guard: readonly Cmp[], ops: readonly Op[]): Promise<TxnResult> {
    this.mustBeOpen();
    checkOps(ops);
    const lose = this.loseTrack;
    this.loseTrack = null;
    if (lose === "of refused") return { kind: "unknown" };
    const current = this.state.conflict(guard);
    if (current !== null) return { kind: "conflict", rev: this.state.rev, current };
    this.commit(ops);
    return lose === "of applied" ? { kind: "unknown" } : { kind: "applied", rev: this.state.rev };
  }

  async snapshot(prefix: string): Promise<{ rev: Rev; kvs: KV[] }> {
    this.mustBeOpen();
    return { rev: this.state.rev, kvs: this.state.under(prefix).map((entry) => entry.kv) };
  }

  watch(prefix: string, after: Rev): AsyncIterable<WatchItem> {
    return this.hub.watch(prefix, after);
  }

  async openSession(_ttlMs: number): Promise<Session> {
    this.mustBeOpen();
    const session = new MemorySession(`${++this.opened}`, (id) => this.endSession(id));
    this.sessions.add(session);
    return session;
  }

  async barrier(): Promise<Rev> {
    this.mustBeOpen();
    return this.state.rev;
  }

  async close(): Promise<void> {
    this.closed = true;
    for (const session of this.sessions) session.valid = false;
    this.hub.close();
  }

  private commit(ops: readonly Op[]): void {
    const effective = this.state.effective(ops);
    if (effective.length === 0) return;
    const rev = this.state.rev + 1n;
    this.hub.show(rev, this.state.apply(rev, effective));
  }

  private endSession(id: SessionId): void {
    this.commit(this.state.boundTo(id).map((key) => ({ del: key })));
  }

  private mustBeOpen(): void {
    if (this.closed) throw new KafkaError("BROKER_NOT_AVAILABLE", "the metadata store is closed");
  }
}

class MemorySession implements Session {
  readonly id: SessionId;
  valid = true;
  private readonly end: (id: SessionId) => void;

  constructor(id: SessionId, end: (id: SessionId) => void) {
    this.id = id;
    this.end = end;
  }

  async close(): Promise<void> {
    if (!this.valid) return;
    this.valid = false;
    this.end(this.id);
  }
}
