/** Time, injected everywhere so that a simulation can own it. */

export interface Scheduled {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, whole milliseconds since the epoch. May jump; use it only for what is stored or shown. */
  nowMs(): number;
  /** Never goes back, starts anywhere; fractional milliseconds. Deadlines are in this clock. */
  monotonicMs(): number;
  /** Runs `run` once, no earlier than `delayMs` from now. */
  schedule(delayMs: number, run: () => void): Scheduled;
}

export const realClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, run) {
    // setTimeout overflows above 2^31-1 ms and would then fire at once.
    const timer = setTimeout(run, Math.min(Math.max(delayMs, 0), 2_147_483_647));
    return { cancel: () => clearTimeout(timer) };
  },
};
