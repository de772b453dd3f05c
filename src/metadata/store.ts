/**
 * The seam between the broker and whatever holds the state of the cluster (topics, configs, ids, features): a small ordered
 * key-value store with guarded transactions, linearizable reads and watches. On one machine it is a log of ours
 * (embedded-store.ts); in a cluster etcd can take its place. One contract suite (contract.ts) runs on every implementation.
 */

/** Grows with every committed transaction; 0n is before the first one. Comparable within one store only. */
export type Rev = bigint;

/** Names the holder of a session; its keys go when it goes. */
export type SessionId = string;

/** One key as it stands. `value` belongs to the store: read it, never write into it. */
export interface KV {
  readonly key: string;
  readonly value: Uint8Array;
  /** The revision that made the key; a key that was deleted and put again has a new one. */
  readonly create: Rev;
  /** The revision that put it last. */
  readonly mod: Rev;
}

/** What one operation of a transaction did. Deleting a key that does not exist is no event. */
export type KVEvent = { readonly type: "put"; readonly kv: KV } | { readonly type: "delete"; readonly key: string };

/** What must hold for the transaction to apply. 0n: the key must not exist. */
export type Cmp = { readonly key: string; readonly mod: Rev } | { readonly key: string; readonly create: Rev };

/** A write. No key may stand twice in one transaction. A key put with a session is deleted when that session ends. */
export type Op = { readonly put: string; readonly value: Uint8Array; readonly session?: SessionId } | { readonly del: string };

export type TxnResult =
  | { readonly kind: "applied"; readonly rev: Rev }
  /** Definitely not applied. `current` holds the guarded keys that exist, as they were compared at `rev`. */
  | { readonly kind: "conflict"; readonly rev: Rev; readonly current: ReadonlyMap<string, KV> }
  /** May still apply later: re-read, and fence what must not happen twice. */
  | { readonly kind: "unknown" };

export type WatchItem =
  /** In the order of revisions; a transaction is never split, and is left out when nothing of it lies under the prefix. */
  | { readonly type: "events"; readonly rev: Rev; readonly events: readonly KVEvent[] }
  /** Events were missed: take a snapshot and watch again from its revision. Always the last item. */
  | { readonly type: "resync" };

export interface Session {
  readonly id: SessionId;
  /** False once the session ended, by `close` or by its loss. */
  readonly valid: boolean;
  /** Ends the session: its keys are deleted. */
  close(): Promise<void>;
}

/** At most so many operations stand in one transaction (etcd's default limit is 128). */
export const MAX_TXN_OPS = 100;

export interface MetadataStore {
  /**
   * Applies all of `ops` or none, if every guard holds. Resolves once the outcome can no longer be taken back. Rejects with a
   * KafkaError when it definitely did not apply for another reason than a guard (no space left, the store is closed).
   */
  txn(guard: readonly Cmp[], ops: readonly Op[]): Promise<TxnResult>;
  /** Everything under a prefix, in key order. Linearizable: it holds every transaction that had resolved before the call. */
  snapshot(prefix: string): Promise<{ rev: Rev; kvs: KV[] }>;
  /** What is committed under a prefix later than `after`. Ends with the store, after `resync`, or when the consumer stops. */
  watch(prefix: string, after: Rev): AsyncIterable<WatchItem>;
  /** A lease on being alive. The embedded store's sessions last as long as the process. */
  openSession(ttlMs: number): Promise<Session>;
  /** A linearizable no-op: every transaction that resolved before the call is at or below the revision it returns. */
  barrier(): Promise<Rev>;
  /** Ends the watches. Transactions that are under way resolve as `unknown`; later calls reject. */
  close(): Promise<void>;
}

/** The key that an operation writes. */
export const keyOf = (op: Op): string => ("put" in op ? op.put : op.del);
