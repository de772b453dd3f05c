/**
 * The transactions of one partition of __transaction_state as a pure machine: requests and the passing of time in, records and replies
 * out. Who waits for a transaction to be complete does not survive, all else is in the log. A transaction's end is decided by a record;
 * only then its partitions are told (a reply that nobody asked for, released when the record is durable), again after each restart, until
 * the host says that all of them know. Source: TransactionCoordinator, TransactionStateManager.
 */

import type { Effects, Machine } from "../base/machine.ts";
import type { MemoryBound } from "../base/memory-bound.ts";
import { ErrorCode } from "../protocol/errors.ts";
import {
  type AddCommand,
  type DescribeCommand,
  type ExpireCommand,
  type ListCommand,
  type TransactionCommand,
  type TransactionReply,
  UNASKED,
} from "./commands.ts";
import type { TransactionRecord, TransactionValue } from "./durable.ts";
import { complete, end, fence } from "./end.ts";
import { init } from "./init.ts";
import { transactionBytes } from "./memory.ts";
import { add, verify } from "./partitions.ts";
import { type TransactionConfig, Turn } from "./turn.ts";

/** Length of the ids that are forgotten in one batch. */
const FORGOTTEN_CHARACTERS = 8 * 1024;
/** Requests that wait for one transaction to be complete; more are told to come again. */
const WAITING_MAX = 100;

interface Waiting {
  readonly command: AddCommand;
  readonly untilMs: number;
}

export class TransactionShard implements Machine<TransactionCommand, TransactionRecord, TransactionReply> {
  /** What to add to nowMs to get the wall clock; an input, set by the host before a call when the clocks drift apart. */
  wallOffsetMs = 0;
  private readonly transactions = new Map<string, TransactionValue>();
  private readonly config: TransactionConfig;
  private readonly memory: MemoryBound;
  private heldBytes = 0;
  /** In state Ongoing. */
  private ongoing = 0;
  private readonly waiting = new Map<string, Waiting[]>();
  private nextAbortsMs = Number.POSITIVE_INFINITY;
  private nextForgettingMs = Number.POSITIVE_INFINITY;
  /** Found to be out of time, not looked at yet. */
  private timedOut: string[] = [];

  constructor(config: TransactionConfig, memory: MemoryBound) {
    this.config = config;
    this.memory = memory;
  }

  /** It is not used any more: gives its memory back. */
  unload(): void {
    this.memory.heldBytes -= this.heldBytes;
    this.heldBytes = 0;
    this.transactions.clear();
  }

  get wakeAtMs(): number {
    if (this.timedOut.length > 0) return Number.NEGATIVE_INFINITY;
    const aborts = this.ongoing > 0 ? this.nextAbortsMs : Number.POSITIVE_INFINITY;
    const forgetting = this.transactions.size > 0 ? this.nextForgettingMs : Number.POSITIVE_INFINITY;
    return Math.min(aborts, forgetting, this.firstImpatientMs);
  }

  /** Whether a transaction of this producer and epoch is open now, with the partition in it. */
  includes(transactionalId: string, producerId: number, epoch: number, topic: string, partition: number): boolean {
    const known = this.transactions.get(transactionalId);
    if (known === undefined || known.state !== "Ongoing") return false;
    if (known.producerId !== producerId || known.producerEpoch !== epoch) return false;
    return known.partitions.get(topic)?.has(partition) === true;
  }

  step(command: TransactionCommand, nowMs: number): Effects<TransactionRecord, TransactionReply> {
    const turn = this.turn(nowMs);
    switch (command.kind) {
      case "init":
        init(turn, command, this.memory);
        break;
      case "add":
        if (!add(turn, command, this.memory)) this.wait(turn, command);
        break;
      case "verify":
        verify(turn, command);
        break;
      case "end":
        end(turn, command);
        break;
      case "expire":
        this.expire(turn, command);
        break;
      case "written":
        if (complete(turn, command)) this.resume(turn, command.transactionalId);
        turn.replies.push({ kind: "written", ticket: command.ticket });
        break;
      case "describe":
        this.describe(turn, command);
        break;
      case "list":
        this.list(turn, command);
        break;
    }
    return turn;
  }

  apply({ transactionalId, value }: TransactionRecord): void {
    const before = this.transactions.get(transactionalId);
    this.ongoing += Number(value?.state === "Ongoing") - Number(before?.state === "Ongoing");
    const bytes = (of: TransactionValue | null | undefined): number => (of ? transactionBytes(transactionalId, of) : 0);
    const grown = bytes(value) - bytes(before);
    this.heldBytes += grown;
    this.memory.heldBytes += grown;
    if (value === null) this.transactions.delete(transactionalId);
    else this.transactions.set(transactionalId, value);
  }

  /** All records have been applied: those whose end is decided are told to their partitions. */
  loaded(nowMs: number): Effects<TransactionRecord, TransactionReply> {
    const turn = this.turn(nowMs);
    this.nextAbortsMs = nowMs + this.config.abortTimedOutIntervalMs;
    this.nextForgettingMs = nowMs + this.config.removeExpiredIntervalMs;
    for (const [id, value] of this.transactions)
      if (value.state === "PrepareCommit" || value.state === "PrepareAbort") turn.tellPartitions(id, value);
    return turn;
  }

  /** The records could not be appended: nothing of them was applied, and replies became errors. The host tells again what was written. */
  rejected(_effects: Effects<TransactionRecord, TransactionReply>, nowMs: number): Effects<TransactionRecord, TransactionReply> {
    return this.turn(nowMs);
  }

  /** Does one of the things that are due: call it again while wakeAtMs has come. */
  tick(nowMs: number): Effects<TransactionRecord, TransactionReply> {
    const turn = this.turn(nowMs);
    const late = this.timedOut.pop();
    if (late !== undefined) this.abortLate(turn, late);
    else if (this.firstImpatientMs <= nowMs) this.sendAway(turn);
    else if (this.ongoing > 0 && this.nextAbortsMs <= nowMs) this.findTimedOut(turn);
    else if (this.nextForgettingMs <= nowMs) this.forget(turn);
    return turn;
  }

  private turn(nowMs: number): Turn {
    return new Turn(this.transactions, this.config.transactionVersion(), nowMs, Math.round(nowMs + this.wallOffsetMs));
  }

  private get firstImpatientMs(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const [{ untilMs }] of this.waiting.values() as Iterable<[Waiting]>) if (untilMs < first) first = untilMs;
    return first;
  }

  private wait(turn: Turn, command: AddCommand): void {
    const waiting = this.waiting.get(command.transactionalId) ?? [];
    if (waiting.length >= WAITING_MAX) return refuse(turn, command);
    waiting.push({ command, untilMs: turn.nowMs + command.patienceMs });
    this.waiting.set(command.transactionalId, waiting);
  }

  /** The transaction is complete: who waited begins the next one, in the same batch. */
  private resume(turn: Turn, transactionalId: string): void {
    const waiting = this.waiting.get(transactionalId);
    this.waiting.delete(transactionalId);
    for (const { command } of waiting ?? []) if (!add(turn, command, this.memory)) this.wait(turn, command);
  }

  private sendAway(turn: Turn): void {
    for (const [id, waiting] of this.waiting) {
      const patient = waiting.filter(({ untilMs }) => untilMs > turn.nowMs);
      for (const { command, untilMs } of waiting) if (untilMs <= turn.nowMs) refuse(turn, command);
      if (patient.length === 0) this.waiting.delete(id);
      else this.waiting.set(id, patient);
    }
  }

  private findTimedOut(turn: Turn): void {
    this.nextAbortsMs = turn.nowMs + this.config.abortTimedOutIntervalMs;
    for (const [id, value] of this.transactions) if (isTimedOut(value, turn.wallMs)) this.timedOut.push(id);
  }

  private abortLate(turn: Turn, transactionalId: string): void {
    const known = turn.get(transactionalId);
    if (known === undefined || !isTimedOut(known, turn.wallMs) || fence(turn, transactionalId, known, null)) return;
    const { producerId, producerEpoch: epoch } = known;
    turn.replies.push({ kind: "timed-out", ticket: UNASKED, transactionalId, producerId, epoch });
  }

  private expire(turn: Turn, { ticket, transactionalId, producerId, epoch, freshProducerId }: ExpireCommand): void {
    const known = turn.get(transactionalId);
    const isSame = known?.producerId === producerId && known.producerEpoch === epoch;
    if (known !== undefined && isSame && isTimedOut(known, turn.wallMs)) fence(turn, transactionalId, known, freshProducerId);
    turn.replies.push({ kind: "expire", ticket });
  }

  /** Ids without a transaction that have not been used for long. */
  private forget(turn: Turn): void {
    const { transactionalIdExpirationMs, removeExpiredIntervalMs } = this.config;
    this.nextForgettingMs = turn.nowMs + removeExpiredIntervalMs;
    let characters = 0;
    for (const [id, { state, updatedMs }] of this.transactions) {
      const isIdle = state === "Empty" || state === "CompleteCommit" || state === "CompleteAbort";
      if (!isIdle || updatedMs > turn.wallMs - transactionalIdExpirationMs) continue;
      turn.put(id, null);
      characters += 50 + id.length;
      if (characters < FORGOTTEN_CHARACTERS) continue;
      this.nextForgettingMs = turn.nowMs;
      return;
    }
  }

  private describe(turn: Turn, { ticket, transactionalId }: DescribeCommand): void {
    const known = turn.get(transactionalId);
    if (known === undefined) return void turn.replies.push({ kind: "describe", ticket, transaction: null });
    const { state, timeoutMs, startMs, producerId, producerEpoch: epoch, partitions } = known;
    const transaction = { transactionalId, state, timeoutMs, startMs, producerId, epoch, partitions };
    turn.replies.push({ kind: "describe", ticket, transaction });
  }

  private list(turn: Turn, { ticket, states, producerIds, durationMs }: ListCommand): void {
    const transactions = [];
    for (const [transactionalId, { producerId, state, startMs }] of this.transactions) {
      if (producerIds !== null && !producerIds.has(producerId)) continue;
      if (states !== null && !states.has(state)) continue;
      if (durationMs >= 0 && turn.wallMs - startMs <= durationMs) continue;
      transactions.push({ transactionalId, producerId, state });
    }
    turn.replies.push({ kind: "list", ticket, transactions });
  }
}

const isTimedOut = ({ state, startMs, timeoutMs }: TransactionValue, wallMs: number): boolean =>
  state === "Ongoing" && startMs + timeoutMs < wallMs;

const refuse = (turn: Turn, { ticket }: AddCommand): void =>
  void turn.replies.push({ kind: "add", ticket, errorCode: ErrorCode.CONCURRENT_TRANSACTIONS });
