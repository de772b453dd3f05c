/** Looks through all logs for what retention does not keep, now and then, a little at a time. Source: LogManager.cleanupLogs. */
import type { Logger } from "../base/logger.ts";
import type { Clock, Scheduled } from "../io/clock.ts";
import { DiskError } from "../io/disk.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { Log } from "./log.ts";
import { applyRetention } from "./log-retention.ts";

/** Kafka's log.initial.task.delay.ms: a start has other things to do. */
const FIRST_CHECK_MS = 30_000;
/** Logs that are looked at side by side: their starts are written down together, and no more of them want a thread of the pool at a time. */
const CHECKED_TOGETHER = 16;

export class RetentionChecks {
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly logs: ReadonlySet<Log>;
  private readonly intervalMs: number;
  private readonly onFatal: (error: unknown) => void;
  private lastTurn: Promise<void> = Promise.resolve();
  private timer: Scheduled | null = null;
  private closed = false;

  constructor(o: {
    readonly clock: Clock;
    readonly logger: Logger;
    readonly logs: ReadonlySet<Log>;
    readonly intervalMs: number;
    /** A promise of our own code was broken. */
    readonly onFatal: (error: unknown) => void;
  }) {
    this.clock = o.clock;
    this.logger = o.logger;
    this.logs = o.logs;
    this.intervalMs = o.intervalMs;
    this.onFatal = o.onFatal;
  }

  start(): void {
    this.checkIn(Math.min(FIRST_CHECK_MS, this.intervalMs));
  }

  close(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  private checkIn(delayMs: number): void {
    if (this.closed) return;
    this.timer = this.clock.schedule(delayMs, () => {
      this.checkAll().then(() => this.checkIn(this.intervalMs), this.onFatal);
    });
  }

  private async checkAll(): Promise<void> {
    const logs = [...this.logs];
    for (let i = 0; i < logs.length && !this.closed; i += CHECKED_TOGETHER) {
      const some = logs.slice(i, i + CHECKED_TOGETHER).filter(({ offline }) => offline === null);
      await Promise.all(some.map((log) => this.check(log)));
      await new Promise<void>((resolve) => this.clock.schedule(0, resolve)); // others get their turn
    }
  }

  /** One log makes or renames files, then others get their turn: a disk that is busy with syncs makes that wait. */
  private turn(): Promise<void> {
    this.lastTurn = this.lastTurn.then(() => new Promise<void>((resolve) => this.clock.schedule(0, resolve)));
    return this.lastTurn;
  }

  private async check(log: Log): Promise<void> {
    try {
      await applyRetention(log, () => this.turn());
    } catch (error) {
      if (!(error instanceof DiskError || error instanceof KafkaError)) throw error;
      if (log.offline !== null) return;
      this.logger.warn("old segments could not be deleted; it is tried again", { log: log.name, error: error.message });
    }
  }
}
