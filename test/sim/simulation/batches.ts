/** What a fetch brought, record by record, as a consumer of committed data or of all takes it (Java's CompletedFetch). */
import { batchBytes, isControl, isTransactional, lastOffset, producerId } from "../../../src/record/batch.ts";
import { records } from "../../../src/record/records.ts";
import type { FetchedPartition } from "./consumers.ts";

export interface TakenRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  /** It is the marker that ends a transaction. */
  readonly isMarker: boolean;
  /** How the transaction that it belongs to ended; null: it belongs to none, or the reader does not ask. */
  readonly outcome: "committed" | "aborted" | null;
}

const ABORT = 0;

/** The records from `from` on. Returns the offset behind the last batch. */
export function takeAll(
  answer: FetchedPartition,
  from: number,
  isCommitted: boolean,
  take: (record: TakenRecord) => void,
): number {
  const bytes = answer.records!;
  const aborted = isCommitted ? [...(answer.abortedTransactions ?? [])].sort((a, b) => a.firstOffset - b.firstOffset) : [];
  const leftOut = new Set<number>();
  let next = from;
  for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
    const last = lastOffset(bytes, at);
    while (aborted.length > 0 && aborted[0]!.firstOffset <= last) leftOut.add(aborted.shift()!.producerId);
    const id = producerId(bytes, at);
    const isMarker = isControl(bytes, at);
    const belongs = isCommitted && !isMarker && isTransactional(bytes, at);
    const outcome = belongs ? (leftOut.has(id) ? "aborted" : "committed") : null;
    for (const { offset, key, value } of records(bytes, at, { maxBytes: 1_000_000 })) {
      if (isMarker && key!.readInt16BE(2) === ABORT) leftOut.delete(id);
      if (offset < from) continue; // the batch began before
      take({ offset, key: text(key), value: text(value), isMarker, outcome });
    }
    next = Math.max(next, last + 1);
  }
  return next;
}

const text = (bytes: Buffer | null): string | null => bytes?.toString() ?? null;
