/** Every deadline of the broker in one binary heap behind one timer, however many requests are parked. */
import type { Clock, Scheduled } from "./clock.ts";

export interface Deadline {
  /** In the clock's monotonic milliseconds. */
  readonly atMs: number;
  /** Does nothing when it has already run or been cancelled. */
  cancel(): void;
}

class Entry implements Deadline {
  readonly atMs: number;
  run: (() => void) | null;
  private readonly owner: Deadlines;
  constructor(atMs: number, run: () => void, owner: Deadlines) {
    this.atMs = atMs;
    this.run = run;
    this.owner = owner;
  }
  cancel(): void {
    if (this.run === null) return;
    this.run = null;
    this.owner.forget();
  }
}

export class Deadlines {
  private readonly clock: Clock;
  private readonly heap: Entry[] = [];
  private timer: Scheduled | null = null;
  private timerAtMs = Number.POSITIVE_INFINITY;
  private cancelled = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Runs `run` once `delayMs` have passed. */
  in(delayMs: number, run: () => void): Deadline {
    const entry = new Entry(this.clock.monotonicMs() + delayMs, run, this);
    this.push(entry);
    this.arm();
    return entry;
  }

  /** How many are waiting. */
  get size(): number {
    return this.heap.length - this.cancelled;
  }

  /** Cancels everything. */
  close(): void {
    this.heap.length = 0;
    this.cancelled = 0;
    this.timer?.cancel();
    this.timer = null;
    this.timerAtMs = Number.POSITIVE_INFINITY;
  }

  /** Called by a cancelled entry: it stays in the heap until its turn, or until half of the heap is dead. */
  forget(): void {
    this.cancelled++;
    if (this.cancelled < 64 || this.cancelled * 2 < this.heap.length) return;
    const live = this.heap.filter((entry) => entry.run !== null).sort((a, b) => a.atMs - b.atMs);
    this.heap.length = 0;
    for (const entry of live) this.heap.push(entry); // a sorted array is a heap
    this.cancelled = 0;
  }

  private arm(): void {
    const next = this.heap[0];
    if (next === undefined || next.atMs >= this.timerAtMs) return;
    this.timer?.cancel();
    this.timerAtMs = next.atMs;
    this.timer = this.clock.schedule(Math.ceil(next.atMs - this.clock.monotonicMs()), () => this.fire());
  }

  private fire(): void {
    this.timer = null;
    this.timerAtMs = Number.POSITIVE_INFINITY;
    const now = this.clock.monotonicMs();
    while (this.heap.length > 0 && this.heap[0]!.atMs <= now) {
      const entry = this.pop();
      const { run } = entry;
      entry.run = null; // a late cancel has nothing to forget
      if (run === null) this.cancelled--;
      else run();
    }
    this.arm();
  }

  private push(entry: Entry): void {
    const heap = this.heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  private pop(): Entry {
    const heap = this.heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= last.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
