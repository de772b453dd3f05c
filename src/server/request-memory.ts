/**
 * The one budget for bytes held from requests and for answers not yet taken, over all connections. It decides who may go on
 * reading, so that memory stays bounded and those who hold much, or nothing but hold it long, never stop those who need little.
 *
 * - Whoever holds nothing may read.
 * - Whoever holds something may read on while that is less than a quarter of what is left ("room"). The more is held in all, the
 *   less each may hold: many large holders stop each other while small ones pass. (The rule is that of shared-memory switches:
 *   Choudhury and Hahne, Dynamic Queue Length Thresholds.)
 * - An unfinished request above that may still have to be finished for its bytes ever to come back. A part of the budget is kept
 *   for such: they take turns, those that lack least first.
 * - Above the whole budget, turns aside, `onExceeded` has to make room at once.
 */
import type { Clock, Scheduled } from "../io/clock.ts";

/** A connection, as far as its memory goes. */
export interface MemoryHolder {
  /** What `account` was last told. Nobody else writes it. */
  heldBytes: number;
  /** Of an unfinished request; 0 when there is none. */
  readonly missingBytes: number;
  /** `mayRead` has become true. */
  onRoom(): void;
}

/** Of the budget, for ordinary reading; the rest is for turns. */
const ORDINARY_PART = 3 / 4;
const ROOM_PART = 1 / 4;
/** When the budget is exceeded by more than this part of it, relief comes at once. */
const AT_ONCE_PART = 1 / 4;
/** Those that wait for room are looked at this often while there are any. */
const WAKE_MS = 5;
/** The most that one read brings. */
const READ_BYTES = 512 * 1024;

export class RequestMemory {
  readonly limitBytes: number;
  totalBytes = 0;
  /** Called when more than the limit is held; may make holders account less. */
  onExceeded: () => void = () => {};
  /** Called, maybe often, while memory is scarce and more is taken. */
  onScarce: () => void = () => {};
  private readonly clock: Clock;
  private readonly waiting = new Set<MemoryHolder>();
  private readonly turns = new Set<MemoryHolder>();
  /** The one with a turn for more than the part kept for turns. */
  private oversized: MemoryHolder | null = null;
  private wake: Scheduled | null = null;
  private relief: Scheduled | null = null;
  private isRelieving = false;

  constructor(limitBytes: number, clock: Clock) {
    this.limitBytes = limitBytes;
    this.clock = clock;
  }

  /** What one holder may hold now. Also a fair size for an answer that can be cut, as a fetch's can. */
  get roomBytes(): number {
    return Math.max(0, (this.limitBytes * ORDINARY_PART - this.totalBytes) * ROOM_PART);
  }

  /** Somebody waits, or most of the budget is held: the time to close those that hold and do nothing. */
  get isScarce(): boolean {
    return this.waiting.size > 0 || this.totalBytes > this.limitBytes / 2;
  }

  /** How much is held above the limit, but for those who have a turn. */
  get exceededBytes(): number {
    let bytes = this.totalBytes - this.limitBytes;
    for (const holder of this.turns) bytes -= holder.heldBytes;
    return Math.max(0, bytes);
  }

  /** Takes note of what a holder holds now. */
  account(holder: MemoryHolder, heldBytes: number): void {
    this.totalBytes += heldBytes - holder.heldBytes;
    holder.heldBytes = heldBytes;
    if (this.totalBytes > this.limitBytes / 2) this.onScarce();
    if (this.totalBytes > this.limitBytes) this.seekRelief();
  }

  /** Whether more may be read from the holder. */
  mayRead(holder: MemoryHolder): boolean {
    return holder.heldBytes === 0 || holder.heldBytes < this.roomBytes || this.turns.has(holder);
  }

  hasTurn(holder: MemoryHolder): boolean {
    return this.turns.has(holder);
  }

  /** The holder is not read until `onRoom`. */
  wait(holder: MemoryHolder): void {
    if (this.waiting.has(holder)) return;
    this.waiting.add(holder);
    this.onScarce();
    this.wake ??= this.clock.schedule(WAKE_MS, () => this.wakeAll());
  }

  /** The holder has no unfinished request any more, so it needs no turn. */
  endTurn(holder: MemoryHolder): void {
    if (!this.turns.delete(holder)) return;
    if (this.oversized === holder) this.oversized = null;
    this.giveTurns();
  }

  /** The holder does not want to read, or is gone. */
  leave(holder: MemoryHolder): void {
    this.waiting.delete(holder);
    this.endTurn(holder);
  }

  /** Cancels the timers. */
  close(): void {
    this.wake?.cancel();
    this.relief?.cancel();
    this.onExceeded = () => {};
    this.onScarce = () => {};
  }

  private wakeAll(): void {
    this.wake = null;
    let free = this.limitBytes * ORDINARY_PART - this.totalBytes;
    for (const holder of this.waiting) {
      if (!this.mayRead(holder)) continue;
      free -= READ_BYTES; // not all at once: each may bring this much before it is looked at again
      if (free < 0) break;
      this.admit(holder);
    }
    this.giveTurns();
    if (this.waiting.size > 0) this.wake = this.clock.schedule(WAKE_MS, () => this.wakeAll());
  }

  /** Soon, because many may come together; at once, when it is much. */
  private seekRelief(): void {
    if (this.isRelieving) return;
    if (this.exceededBytes > this.limitBytes * AT_ONCE_PART) return this.relieve();
    this.relief ??= this.clock.schedule(0, () => {
      this.relief = null;
      if (this.exceededBytes > 0) this.relieve();
    });
  }

  private relieve(): void {
    this.isRelieving = true;
    this.onExceeded();
    this.isRelieving = false;
  }

  /** Gives turns while what they lack fits in the part kept for them; one may be too large for it, so that each can be finished some time. */
  private giveTurns(): void {
    let reserve = this.limitBytes * (1 - ORDINARY_PART);
    for (const holder of this.turns) if (holder !== this.oversized) reserve -= holder.missingBytes;
    for (;;) {
      const next = this.smallestWaiting();
      if (next === null) return;
      if (next.missingBytes <= reserve) reserve -= next.missingBytes;
      else if (this.oversized === null) this.oversized = next;
      else return;
      this.turns.add(next);
      this.admit(next);
    }
  }

  private smallestWaiting(): MemoryHolder | null {
    let smallest: MemoryHolder | null = null;
    for (const holder of this.waiting) {
      if (holder.missingBytes > 0 && (smallest === null || holder.missingBytes < smallest.missingBytes)) smallest = holder;
    }
    return smallest;
  }

  private admit(holder: MemoryHolder): void {
    this.waiting.delete(holder);
    holder.onRoom();
  }
}
