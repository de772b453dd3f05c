/**
 * The state machine of a metadata store: the keys as they stand after every transaction so far. Pure: no I/O, no promises;
 * recovery and serving apply through the same call.
 */
import { assert } from "../base/assert.ts";
import { type Cmp, type KV, type KVEvent, keyOf, MAX_TXN_OPS, type Op, type Rev, type SessionId } from "./store.ts";

/** One key with what the store itself must know of it. */
export interface Entry {
  readonly kv: KV;
  /** The session that the key dies with, "" for none. */
  readonly session: SessionId;
}

/** A broken promise of the caller: too many operations, or a key twice. */
export function checkOps(ops: readonly Op[]): void {
  assert(ops.length <= MAX_TXN_OPS, `a metadata transaction has ${ops.length} operations, the limit is ${MAX_TXN_OPS}`);
  const keys = new Set(ops.map(keyOf));
  assert(keys.size === ops.length, "a metadata transaction writes a key twice");
  assert(!keys.has(""), "a metadata transaction writes the empty key");
}

export class KvState {
  /** The revision of the last transaction applied. */
  rev: Rev;
  /** Bytes of all keys and values: what a snapshot of the state costs, about. */
  bytes = 0;
  private readonly entries = new Map<string, Entry>();

  constructor(rev: Rev = 0n) {
    this.rev = rev;
  }

  get size(): number {
    return this.entries.size;
  }

  get(key: string): KV | undefined {
    return this.entries.get(key)?.kv;
  }

  /** Null when every guard holds, otherwise the guarded keys that exist. */
  conflict(guard: readonly Cmp[]): Map<string, KV> | null {
    const holds = guard.every((cmp) => {
      const kv = this.get(cmp.key);
      return "mod" in cmp ? (kv?.mod ?? 0n) === cmp.mod : (kv?.create ?? 0n) === cmp.create;
    });
    if (holds) return null;
    const current = new Map<string, KV>();
    for (const { key } of guard) {
      const kv = this.get(key);
      if (kv !== undefined) current.set(key, kv);
    }
    return current;
  }

  /** The operations that change something: a delete of a key that does not exist does not. */
  effective(ops: readonly Op[]): Op[] {
    return ops.filter((op) => "put" in op || this.entries.has(op.del));
  }

  /** Applies one transaction at `rev`, which must be later than all before. The values are the state's from now on. */
  apply(rev: Rev, ops: readonly Op[]): KVEvent[] {
    assert(rev > this.rev, `metadata revision ${rev} follows ${this.rev}`);
    this.rev = rev;
    const events: KVEvent[] = [];
    for (const op of ops) {
      const event = "put" in op ? this.put(rev, op.put, op.value, op.session ?? "") : this.delete(op.del);
      if (event !== null) events.push(event);
    }
    return events;
  }

  /** Takes over an entry of a snapshot as it is. */
  restore(entry: Entry): void {
    assert(!this.entries.has(entry.kv.key), `the metadata snapshot has ${entry.kv.key} twice`);
    this.entries.set(entry.kv.key, entry);
    this.bytes += cost(entry.kv);
  }

  /** Every entry whose key begins with `prefix`, in key order (by UTF-16 unit). The entries are immutable. */
  under(prefix: string): Entry[] {
    const found: Entry[] = [];
    for (const entry of this.entries.values()) if (entry.kv.key.startsWith(prefix)) found.push(entry);
    return found.sort((a, b) => (a.kv.key < b.kv.key ? -1 : 1));
  }

  /** The keys that die with a session; null: with any session. */
  boundTo(session: SessionId | null): string[] {
    const bound = [...this.entries.values()].filter((entry) =>
      session === null ? entry.session !== "" : entry.session === session,
    );
    return bound.map((entry) => entry.kv.key);
  }

  private put(rev: Rev, key: string, value: Uint8Array, session: SessionId): KVEvent {
    const before = this.entries.get(key);
    const kv: KV = { key, value, create: before?.kv.create ?? rev, mod: rev };
    this.bytes += cost(kv) - (before === undefined ? 0 : cost(before.kv));
    this.entries.set(key, { kv, session });
    return { type: "put", kv };
  }

  private delete(key: string): KVEvent | null {
    const before = this.entries.get(key);
    if (before === undefined) return null;
    this.bytes -= cost(before.kv);
    this.entries.delete(key);
    return { type: "delete", key };
  }
}

const cost = (kv: KV): number => kv.key.length + kv.value.length;
