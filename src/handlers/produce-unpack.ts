/**
 * The batches of a Produce request before they are appended: each is checked, and unpacked at once or, if that would hold the loop for long, in
 * a thread. Then the request is appended later, and all further produces of its connection line up behind it: they reach the log in the
 * order they came.
 */
import { KafkaError } from "../protocol/errors.ts";
import type { Unpacked, Unpacker } from "../record/unpack-batch.ts";
import { type BatchRules, chargeUnpacked, checkedBatch, finishBatch, unpackJob, type ValidBatch } from "../record/validate.ts";
import type { ConnectionInfo } from "./handler.ts";

/** One batch that came for a partition. */
export interface Incoming {
  /** Null once it is no longer needed, here or in the log. */
  records: Buffer | null;
  /** Those of when it came; the request's batches share a bound. */
  readonly rules: BatchRules;
  /** What is wrong with it: then it is not appended. */
  refuse(error: KafkaError): void;
  /** Set by `unpackAll` for those that are not refused. */
  checked?: { readonly batch: Buffer; readonly unpacked: Unpacked } | undefined;
}

/** Checks and unpacks batches, in order: the promise is there as soon as one is for the thread, and the others wait for it. */
export function unpackAll(unpacker: Unpacker, incoming: readonly Incoming[], from = 0): Promise<void> | undefined {
  for (let i = from; i < incoming.length; i++) {
    const one = incoming[i]!;
    const done = refusing(one, () => {
      const batch = checkedBatch(one.records, one.rules);
      const unpacked = unpacker.unpack(unpackJob(batch, one.rules));
      if (!(unpacked instanceof Promise)) return keep(one, batch, unpacked);
      return unpacked.then((late) => keep(one, batch, late)).catch((error: unknown) => refuse(one, error));
    });
    if (done !== undefined) return done.then(() => unpackAll(unpacker, incoming, i + 1));
  }
  return undefined;
}

function keep(one: Incoming, batch: Buffer, unpacked: Unpacked): void {
  one.checked = { batch, unpacked };
  chargeUnpacked(batch, unpacked, one.rules);
}

/** The last step before the append, with the time of now. Null if the batch was refused, then or before. */
export function finish(one: Incoming, nowMs: number): ValidBatch | null {
  const { checked, rules } = one;
  one.checked = undefined;
  one.records = null;
  if (checked === undefined) return null;
  rules.nowMs = nowMs;
  return refusing(one, () => finishBatch(checked.batch, checked.unpacked, rules)) ?? null;
}

function refusing<T>(one: Incoming, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    refuse(one, error);
    return undefined;
  }
}

function refuse(one: Incoming, error: unknown): void {
  if (!(error instanceof KafkaError)) throw error;
  one.refuse(error);
}

/** Of each connection that has produces which are not appended yet, when the last of them will be. */
const lines = new WeakMap<ConnectionInfo, Promise<void>>();

/** Runs `append` when the request is ready and those before it were appended: at once, mostly. */
export function inTurn(
  connection: ConnectionInfo,
  ready: Promise<void> | undefined,
  append: () => void,
): Promise<void> | undefined {
  const ahead = lines.get(connection);
  if (ready === undefined && ahead === undefined) {
    append();
    return undefined;
  }
  const turn = Promise.all([ready, ahead]).then(append);
  const line = turn.catch(() => {}); // its own caller hears of it
  lines.set(connection, line);
  line.then(() => {
    if (lines.get(connection) === line) lines.delete(connection);
  });
  return turn;
}
