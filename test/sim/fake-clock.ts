/** A clock that stands still until a test moves it. Timers run in order of their time, then of their making; a seed and a program give one history. */
import type { Clock, Scheduled } from "../../src/io/clock.ts";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Lets everything run that waits for nothing but its turn. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class FakeClock implements Clock {
  private wallMs: number;
  private elapsedMs = 0;
  private timers: Timer[] = [];
  private made = 0;

  constructor(startMs = 1_700_000_000_000) {
    this.wallMs = startMs;
  }

  nowMs(): number {
    return Math.floor(this.wallMs);
  }

  monotonicMs(): number {
    return this.elapsedMs;
  }

  schedule(delayMs: number, run: () => void): Scheduled {
    const timer = { atMs: this.elapsedMs + Math.max(0, delayMs), order: this.made++, run };
    this.timers.push(timer);
    return {
      cancel: () => this.drop(timer),
    };
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.timers.length;
  }

  /** Moves the wall clock alone, as an operator or NTP may. */
  jump(byMs: number): void {
    this.wallMs += byMs;
  }

  /** Drops all timers: the process that made them is gone. */
  reset(): void {
    this.timers = [];
  }

  /** Moves time on; runs what becomes due, and what that starts. */
  async advance(byMs: number): Promise<void> {
    const end = this.elapsedMs + byMs;
    await settle();
    for (let timer = this.next(end); timer !== null; timer = this.next(end)) {
      this.fire(timer);
      await settle();
    }
    this.moveTo(end);
  }

  /** Moves time on just as far as `promise` needs. Throws if nothing that could settle it is left. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let done = false;
    const watched = promise.finally(() => {
      done = true;
    });
    watched.catch(() => {});
    await settle();
    while (!done) {
      const timer = this.next(Number.POSITIVE_INFINITY);
      if (timer === null) {
        await settle();
        if (done) break;
        throw new Error("a promise waits, but no timer does: it would wait for ever");
      }
      this.fire(timer);
      await settle();
    }
    return await watched;
  }

  private next(endMs: number): Timer | null {
    let first: Timer | null = null;
    for (const timer of this.timers)
      if (first === null || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer;
    return first !== null && first.atMs <= endMs ? first : null;
  }

  private fire(timer: Timer): void {
    this.drop(timer);
    this.moveTo(timer.atMs);
    timer.run();
  }

  private drop(timer: Timer): void {
    const at = this.timers.indexOf(timer);
    if (at >= 0) this.timers.splice(at, 1);
  }

  private moveTo(atMs: number): void {
    if (atMs <= this.elapsedMs) return;
    this.wallMs += atMs - this.elapsedMs;
    this.elapsedMs = atMs;
  }
}
