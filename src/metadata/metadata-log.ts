/**
 * The metadata log: how a transaction stands in it, and how the state is read back from it. One transaction is one batch, one
 * record per operation. Key: the key in UTF-8. Value: the value, or null for a delete. A header `session` marks a key that dies
 * with its session.
 */

import { assert } from "../base/assert.ts";
import { oneBuffer } from "../bytes/chunks.ts";
import type { Log } from "../log/log.ts";
import { baseOffset, batchBytes, nextOffset } from "../record/batch.ts";
import { buildBatch, type RecordInput, records } from "../record/records.ts";
import { ownBatch, type ValidBatch } from "../record/validate.ts";
import type { KvState } from "./kv-state.ts";
import { keyOf, type Op, type Rev } from "./store.ts";

const SESSION_HEADER = "session";

/** How much is read at a time. */
const REPLAY_BYTES = 1024 * 1024;

/** Our batches are not compressed, so nothing grows when it is read; a bound all the same. */
const MAX_DECOMPRESSED_BYTES = 256 * 1024 * 1024;

/** The revision of a log that ends at an offset: 0 is the empty log, so no transaction has revision 0. */
export const revOf = (logEndOffset: number): Rev => BigInt(logEndOffset);

/** The batch of one transaction, ready for the log. The bytes are fresh. */
export function batchOf(ops: readonly Op[], nowMs: number): ValidBatch {
  return ownBatch(buildBatch({ records: ops.map((op) => recordOf(op, nowMs)) }), nowMs);
}

function recordOf(op: Op, timestampMs: number): RecordInput {
  const key = Buffer.from(keyOf(op));
  if ("del" in op) return { key, value: null, timestampMs };
  if (op.session === undefined) return { key, value: op.value, timestampMs };
  return { key, value: op.value, headers: [{ key: SESSION_HEADER, value: Buffer.from(op.session) }], timestampMs };
}

/** The operations of the batch at `at`, their values copied out of `bytes`. */
function readOps(bytes: Buffer, at: number): Op[] {
  const ops: Op[] = [];
  for (const record of records(bytes, at, { maxBytes: MAX_DECOMPRESSED_BYTES })) {
    const key = record.key?.toString() ?? "";
    if (key === "") throw new Error(`the record at offset ${record.offset} of the metadata log has no key`);
    const session = record.headers.find((header) => header.key === SESSION_HEADER)?.value;
    if (record.value === null) ops.push({ del: key });
    else if (session == null) ops.push({ put: key, value: new Uint8Array(record.value) });
    else ops.push({ put: key, value: new Uint8Array(record.value), session: Buffer.from(session).toString() });
  }
  return ops;
}

/**
 * The log must go on where the snapshot ends. One that ends before it was being emptied when the process died: all it held is in
 * the snapshot. One that begins after it has lost records, and we do not go on without them.
 */
export async function alignLog(log: Log, snapshotRev: Rev): Promise<void> {
  const offset = Number(snapshotRev);
  if (log.logStartOffset > offset) {
    throw new Error(
      `the metadata log ${log.name} begins at offset ${log.logStartOffset}, but the metadata snapshot ends at ${offset}: what lies between is missing`,
    );
  }
  if (log.logEndOffset < offset) await log.truncateFullyAndStartAt(offset);
}

/** Applies every transaction of the log that is later than the state. Returns the bytes of their batches. */
export async function replay(log: Log, state: KvState): Promise<number> {
  let total = 0;
  let offset = Number(state.rev);
  while (offset < log.logEndOffset) {
    const read = await log.read(offset, { limitOffset: log.logEndOffset, maxBytes: REPLAY_BYTES, atLeastOne: true });
    const bytes = oneBuffer(read.chunks);
    assert(bytes.length > 0, `the metadata log gives nothing at offset ${offset} of ${log.logEndOffset}`);
    for (let at = 0; at < bytes.length; at += batchBytes(bytes, at)) {
      assert(baseOffset(bytes, at) === offset, `the metadata log goes on with ${baseOffset(bytes, at)} after ${offset}`);
      offset = nextOffset(bytes, at);
      state.apply(revOf(offset), readOps(bytes, at));
    }
    total += bytes.length;
  }
  return total;
}
