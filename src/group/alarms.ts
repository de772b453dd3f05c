/** Everything in one shard that happens by itself when nobody acts, in one heap ordered by time. Pure: the heap knows no clock. */
import { assert } from "../base/assert.ts";

/** Something with a time at which it becomes due; it is in at most one heap, at most once. */
export class Alarm<T> {
  readonly subject: T;
  /** When it is due, in the machine's clock. Meaningless while it is not set. */
  atMs = Number.POSITIVE_INFINITY;
  /** Its place in the heap, -1 while it is not set; the heap keeps it. */
  at = -1;
  /** Orders alarms that are due at the same time: first set, first due. */
  turn = 0;

  constructor(subject: T) {
    this.subject = subject;
  }

  get isSet(): boolean {
    return this.at >= 0;
  }
}

/** A binary heap in which an alarm can be moved or taken out: O(log n) each. */
export class Alarms<T> {
  private readonly heap: Alarm<T>[] = [];
  private turns = 0;

  /** When the first one is due, Infinity if none is set. */
  get nextMs(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0]!.atMs;
  }

  get size(): number {
    return this.heap.length;
  }

  /** Sets the alarm, or moves it if it is set. */
  set(alarm: Alarm<T>, atMs: number): void {
    alarm.atMs = atMs;
    alarm.turn = this.turns++;
    if (alarm.at < 0) {
      this.up(this.heap.push(alarm) - 1, alarm);
      return;
    }
    assert(this.heap[alarm.at] === alarm, "an alarm belongs to one heap");
    this.down(alarm.at, alarm);
    this.up(alarm.at, alarm);
  }

  /** Does nothing if the alarm is not set. */
  clear(alarm: Alarm<T>): void {
    if (alarm.at < 0) return;
    assert(this.heap[alarm.at] === alarm, "an alarm belongs to one heap");
    const hole = alarm.at;
    const last = this.heap.pop()!;
    alarm.at = -1;
    if (last === alarm) return;
    this.down(hole, last);
    this.up(last.at, last);
  }

  /** Takes out the first alarm if it is due at nowMs. */
  takeDue(nowMs: number): Alarm<T> | null {
    const first = this.heap[0];
    if (first === undefined || first.atMs > nowMs) return null;
    this.clear(first);
    return first;
  }

  private up(from: number, alarm: Alarm<T>): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(alarm, this.heap[above]!)) break;
      this.put(at, this.heap[above]!);
      at = above;
    }
    this.put(at, alarm);
  }

  private down(from: number, alarm: Alarm<T>): void {
    let at = from;
    for (;;) {
      let below = at * 2 + 1;
      if (below >= this.heap.length) break;
      if (below + 1 < this.heap.length && isBefore(this.heap[below + 1]!, this.heap[below]!)) below++;
      if (!isBefore(this.heap[below]!, alarm)) break;
      this.put(at, this.heap[below]!);
      at = below;
    }
    this.put(at, alarm);
  }

  private put(at: number, alarm: Alarm<T>): void {
    this.heap[at] = alarm;
    alarm.at = at;
  }
}

const isBefore = <T>(a: Alarm<T>, b: Alarm<T>): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.turn < b.turn);
