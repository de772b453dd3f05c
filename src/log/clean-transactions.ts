/**
 * Which transactions a cleaning has come across: batches of an aborted one go, and a marker may go once nothing of its transaction is
 * left. Source: CleanedTransactionMetadata.
 */
import { isTransactional, lastOffset, producerId, recordCount } from "../record/batch.ts";
import { ControlType, controlType } from "../record/control.ts";
import { records } from "../record/records.ts";
import type { AbortedTransaction } from "./transaction-index.ts";

/** Control records are some tens of bytes. */
const CONTROL_BATCH_MAX_BYTES = 64 * 1024;

interface OngoingAborted {
  readonly range: AbortedTransaction;
  hasBatches: boolean;
}

export class CleanTransactions {
  /** By first offset. */
  private readonly aborted: readonly AbortedTransaction[];
  private next = 0;
  private readonly ongoingAborted = new Map<number, OngoingAborted>();
  private readonly ongoingCommitted = new Set<number>();
  /** Hears of each aborted transaction of which something is left: the new segment's index needs it. */
  onKeptAbort: (aborted: AbortedTransaction) => void = () => {};

  constructor(aborted: readonly AbortedTransaction[]) {
    this.aborted = aborted;
  }

  /** Takes in a data batch; true if its transaction was aborted. */
  onBatch(b: Buffer, at: number): boolean {
    this.beginUpTo(lastOffset(b, at));
    if (!isTransactional(b, at)) return false;
    const id = producerId(b, at);
    const ongoing = this.ongoingAborted.get(id);
    if (ongoing === undefined) {
      this.ongoingCommitted.add(id);
      return false;
    }
    ongoing.hasBatches = true;
    return true;
  }

  /** Takes in a control batch, which must be there as a whole; true if nothing of its transaction is left. */
  onControlBatch(b: Buffer, at: number): boolean {
    this.beginUpTo(lastOffset(b, at));
    if (recordCount(b, at) === 0) return true; // emptied before, and kept for its producer's sake
    const id = producerId(b, at);
    const type = firstControlType(b, at);
    if (type === ControlType.commit) return !this.ongoingCommitted.delete(id);
    if (type !== ControlType.abort) return false;
    const ongoing = this.ongoingAborted.get(id);
    this.ongoingAborted.delete(id);
    if (ongoing?.hasBatches !== true) return true;
    this.onKeptAbort(ongoing.range);
    return false;
  }

  private beginUpTo(offset: number): void {
    for (; this.next < this.aborted.length && this.aborted[this.next]!.firstOffset <= offset; this.next++) {
      const range = this.aborted[this.next]!;
      if (!this.ongoingAborted.has(range.producerId)) this.ongoingAborted.set(range.producerId, { range, hasBatches: false });
    }
  }
}

function firstControlType(b: Buffer, at: number): number {
  for (const { key } of records(b, at, { maxBytes: CONTROL_BATCH_MAX_BYTES })) return controlType(key);
  return -1;
}
