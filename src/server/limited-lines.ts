/** Log lines that clients can cause: only so many of a kind in a while, and a count of those left out. */
import type { LogFields, Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";

const WINDOW_MS = 10_000;
const LINES_PER_WINDOW = 10;

interface Kind {
  windowEndsMs: number;
  lines: number;
  leftOut: number;
}

export class LimitedLines {
  private readonly logger: Logger;
  private readonly clock: Clock;
  /** By message, of which there are as many as the code has. */
  private readonly kinds = new Map<string, Kind>();

  constructor(logger: Logger, clock: Clock) {
    this.logger = logger;
    this.clock = clock;
  }

  info(message: string, fields: LogFields): void {
    const leftOut = this.admit(message);
    if (leftOut !== null) this.logger.info(message, leftOut === 0 ? fields : { ...fields, leftOut });
  }

  warn(message: string, fields: LogFields): void {
    const leftOut = this.admit(message);
    if (leftOut !== null) this.logger.warn(message, leftOut === 0 ? fields : { ...fields, leftOut });
  }

  /** How many lines of this kind were left out before this one; null when this one is to be left out, too. */
  private admit(message: string): number | null {
    const nowMs = this.clock.monotonicMs();
    const kind = this.kinds.get(message) ?? { windowEndsMs: 0, lines: 0, leftOut: 0 };
    this.kinds.set(message, kind);
    const { leftOut } = kind;
    if (nowMs >= kind.windowEndsMs) {
      kind.windowEndsMs = nowMs + WINDOW_MS;
      kind.lines = 0;
      kind.leftOut = 0;
    }
    if (kind.lines === LINES_PER_WINDOW) {
      kind.leftOut++;
      return null;
    }
    kind.lines++;
    return kind.lines === 1 ? leftOut : 0;
  }
}
