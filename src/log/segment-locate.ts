/**
 * Finding batches without reading them: where those that a reader wants lie in a segment's file, if they were checked since the start.
 * Only headers are looked at, and only in the page cache. Whatever is unusual is left to segment-read.ts, which reads and checks.
 */
import { BATCH_HEADER_BYTES, baseOffset, batchBytes, lastOffset, MAGIC, magic } from "../record/batch.ts";
import type { Segment } from "./segment.ts";
import type { ReadLimits } from "./segment-read.ts";

/** Whole batches: bytes `from` to `to` of the file. What follows them begins at `nextOffset`. */
export interface Located {
  readonly from: number;
  readonly to: number;
  readonly nextOffset: number;
}

/** Headers between an index entry and the wanted batch are read in pieces of this size. */
const SCAN_BYTES = 8 * 1024;

/** One for all: looked at before anything else runs. */
const scratch = Buffer.allocUnsafeSlow(SCAN_BYTES);
const headerScratch = scratch.subarray(0, BATCH_HEADER_BYTES);

/** From the batch that holds or follows `offset` on, none beyond `limitPosition` (where `limits.limitOffset` lies); null: read them instead. */
export function locate(segment: Segment, offset: number, limits: ReadLimits, limitPosition: number): Located | null {
  const hinted = segment.hintedPosition(offset);
  const from = hinted >= 0 ? hinted : scanFor(segment, offset);
  if (from < 0 || from >= limitPosition) return null;
  const to = endOf(segment, from, limits, limitPosition);
  if (to === from) return { from, to, nextOffset: offset };
  if (to < 0 || !segment.checked.covers(from, to)) return null;
  if (to === limitPosition) return found(segment, from, to, Math.min(limits.limitOffset, segment.nextOffset));
  return readHeader(segment, to) ? found(segment, from, to, baseOffset(headerScratch, 0)) : null;
}

function found(segment: Segment, from: number, to: number, nextOffset: number): Located {
  segment.hint(nextOffset, to);
  return { from, to, nextOffset };
}

/** Where to stop: as many batches as fit, by the index, but the first in any case if it must be; -1 if that cannot be told. */
function endOf(segment: Segment, from: number, { maxBytes, atLeastOne }: ReadLimits, limitPosition: number): number {
  if (limitPosition - from <= maxBytes) return limitPosition;
  if (!readHeader(segment, from)) return -1;
  const first = from + batchBytes(headerScratch, 0);
  if (first - from > maxBytes && !atLeastOne) return from;
  return Math.max(first, segment.offsetIndex.positionAtOrBefore(from + maxBytes));
}

/** Position of the batch that holds or follows `offset`, by the index; -1 if it does not show. */
function scanFor(segment: Segment, offset: number): number {
  const entry = segment.offsetIndex.lookUpHot(offset);
  if (entry === null || entry.position < 0) return -1;
  let { position } = entry;
  let expected = position === 0 ? -1 : entry.offset;
  const file = segment.logFile();
  while (position < segment.size) {
    const got = file.readHot(scratch.subarray(0, Math.min(SCAN_BYTES, segment.size - position)), position);
    let at = 0;
    while (at + BATCH_HEADER_BYTES <= got) {
      if (magic(scratch, at) !== MAGIC || batchBytes(scratch, at) < BATCH_HEADER_BYTES) return -1;
      if (expected >= 0 && lastOffset(scratch, at) !== expected) return -1;
      expected = -1;
      if (lastOffset(scratch, at) >= offset) return position + at;
      at += batchBytes(scratch, at);
    }
    if (at === 0) return -1;
    position += at;
  }
  return -1;
}

const readHeader = (segment: Segment, position: number): boolean =>
  segment.logFile().readHot(headerScratch, position) === BATCH_HEADER_BYTES && magic(headerScratch, 0) === MAGIC;
