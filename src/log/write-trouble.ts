/** Tells the operator when the disk refuses appends and when it takes them again: a line now and then, not one for every request. */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";

const LINE_EVERY_MS = 10_000;

export class WriteTrouble {
  private readonly logger: Logger;
  private readonly clock: Clock;
  private readonly failing = new Set<string>();
  private lastLineMs = Number.NEGATIVE_INFINITY;

  constructor(logger: Logger, clock: Clock) {
    this.logger = logger;
    this.clock = clock;
  }

  /** Whether any log failed since it last worked: asked on the hot path. */
  get isThere(): boolean {
    return this.failing.size > 0;
  }

  failed(log: string, reason: string): void {
    this.failing.add(log);
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.lastLineMs < LINE_EVERY_MS) return;
    this.lastLineMs = nowMs;
    this.logger.error("appends fail; they are tried again with every request, and reads go on", {
      log,
      reason,
      failingLogs: this.failing.size,
    });
  }

  worked(log: string): void {
    if (!this.failing.delete(log) || this.failing.size > 0) return;
    this.lastLineMs = Number.NEGATIVE_INFINITY;
    this.logger.info("appends work again", { log });
  }

  /** The log is gone: nobody waits for it to work. */
  forget(log: string): void {
    this.failing.delete(log);
  }
}
