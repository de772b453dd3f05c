/**
 * The contract between a pure state machine (group, later txn) and the coordinator host that runs it over an internal
 * partition: step decides, the host appends the records, apply changes durable state, recovery is the same apply.
 */

/** What a step or a tick wants done: records to append, then replies to release once they are durable. */
export interface Effects<Rec, Reply> {
  readonly records: readonly Rec[];
  /** True: each record is true by itself, so they may become several batches, and end half way. Default: all or none. */
  readonly canBeSplit?: boolean;
  readonly replies: readonly Reply[];
}

/** Deterministic: the same state, input and nowMs give the same effects. No I/O, no clock, no promises inside. */
export interface Machine<Command, Rec, Reply> {
  /** Decides. Touches only what need not survive a crash (parked joins, pending members). */
  step(command: Command, nowMs: number): Effects<Rec, Reply>;
  /** The only way durable state changes; recovery replays the log through it. */
  apply(record: Rec): void;
  /** Session, rebalance and transaction time-outs that are due at nowMs. */
  tick(nowMs: number): Effects<Rec, Reply>;
  /** The next deadline in the clock of nowMs, Infinity if there is none. */
  readonly wakeAtMs: number;
}
