/** Holds a cleaning back: to a rate on average, and so that others have their turn. Source: Throttler. */
import type { Clock } from "../io/clock.ts";
import { CleaningStopped } from "./clean-log.ts";

export class CleanThrottle {
  private readonly clock: Clock;
  private readonly bytesPerMs: number;
  private readonly isStopped: () => boolean;
  /** Whether it runs on the broker's own loop, which must have a turn now and then. */
  private readonly yields: boolean;
  /** When what was moved so far may have been moved. */
  private dueMs: number;

  constructor(clock: Clock, bytesPerSecond: number, isStopped: () => boolean, yields: boolean) {
    this.clock = clock;
    this.bytesPerMs = bytesPerSecond / 1000;
    this.isStopped = isStopped;
    this.yields = yields;
    this.dueMs = clock.monotonicMs();
  }

  /** Resolves when so many bytes were allowed. Rejects with CleaningStopped. */
  async pace(bytes: number): Promise<void> {
    const nowMs = this.clock.monotonicMs();
    this.dueMs = Math.max(this.dueMs, nowMs - SLACK_MS) + bytes / this.bytesPerMs;
    const waitMs = this.dueMs - nowMs;
    if (waitMs >= SHORTEST_WAIT_MS || this.yields)
      await new Promise<void>((resolve) => this.clock.schedule(Math.max(0, waitMs), resolve));
    if (this.isStopped()) throw new CleaningStopped("the cleaning was stopped");
  }
}

/** What was not used this long ago cannot be used later. */
const SLACK_MS = 100;
const SHORTEST_WAIT_MS = 2;
