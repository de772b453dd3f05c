/** One step of a shard at work: the transactions as the step leaves them, and the records and replies that it gathers. */
import type { Effects } from "../base/machine.ts";
import { ErrorCode, type ErrorName } from "../protocol/errors.ts";
import { type EndCommand, type InitCommand, type TransactionReply, UNASKED } from "./commands.ts";
import type { TransactionRecord, TransactionValue } from "./durable.ts";

/** The broker's settings for transactions, by Kafka's names, and the bound of what clients can make a broker hold. */
export interface TransactionConfig {
  /** `transactional.id.expiration.ms` */
  readonly transactionalIdExpirationMs: number;
  /** `transaction.abort.timed.out.transaction.cleanup.interval.ms` */
  readonly abortTimedOutIntervalMs: number;
  /** `transaction.remove.expired.transaction.cleanup.interval.ms` */
  readonly removeExpiredIntervalMs: number;
  /** The level of the feature `transaction.version`: by it transactions end that no client ends. */
  transactionVersion(): number;
}

export class Turn implements Effects<TransactionRecord, TransactionReply> {
  /** In the clock of deadlines. */
  readonly nowMs: number;
  /** Wall clock, whole milliseconds: what records carry. */
  readonly wallMs: number;
  readonly records: TransactionRecord[] = [];
  readonly replies: TransactionReply[] = [];
  readonly transactionVersion: number;
  private readonly known: ReadonlyMap<string, TransactionValue>;
  private readonly changed = new Map<string, TransactionValue | null>();

  constructor(known: ReadonlyMap<string, TransactionValue>, transactionVersion: number, nowMs: number, wallMs: number) {
    this.transactionVersion = transactionVersion;
    this.known = known;
    this.nowMs = nowMs;
    this.wallMs = wallMs;
  }

  /** The transaction of this id, as the records of this turn leave it. */
  get(transactionalId: string): TransactionValue | undefined {
    const changed = this.changed.get(transactionalId);
    return changed === undefined ? this.known.get(transactionalId) : (changed ?? undefined);
  }

  put(transactionalId: string, value: TransactionValue | null): void {
    this.changed.set(transactionalId, value);
    this.records.push({ transactionalId, value });
  }

  /** The partitions of a transaction in a Prepare state are to be told. */
  tellPartitions(transactionalId: string, value: TransactionValue): void {
    this.replies.push({
      kind: "markers",
      ticket: UNASKED,
      transactionalId,
      producerId: value.producerId,
      epoch: value.producerEpoch,
      result: value.state === "PrepareCommit" ? "commit" : "abort",
      partitions: value.partitions,
      clientVersion: value.clientVersion,
    });
  }

  refuseInit({ ticket }: InitCommand, error: ErrorName): void {
    this.replies.push({ kind: "init", ticket, errorCode: ErrorCode[error], producerId: -1, epoch: -1 });
  }

  refuseEnd({ ticket }: EndCommand, error: ErrorName): void {
    this.replies.push({ kind: "end", ticket, errorCode: ErrorCode[error], producerId: -1, epoch: -1 });
  }
}
