/** Moving aside what recovery does not take over: the bytes stay on the disk, under a name that no reader of logs takes for a log. */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX } from "./file-names.ts";
import type { Segment } from "./segment.ts";

const BLOCK_BYTES = 1024 * 1024;

export interface CutContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: string;
}

/** "00000000000000000000.log.1234.cut-1700000000000": cut from that file, where offset 1234 was expected. */
const asideName = (context: CutContext, segment: Segment, offset: number): string =>
  `${segment.path}.${offset}.cut-${context.clock.nowMs()}`;

/** Copies [segment.size, fileBytes) of a segment's file beside it and cuts the file. Zeros alone are not worth a copy. */
export async function moveTailAside(
  context: CutContext,
  segment: Segment,
  fileBytes: number,
  offset: number,
  why: string,
): Promise<void> {
  const { disk, logger } = context;
  const from = segment.size;
  if (fileBytes === from) return;
  const aside = asideName(context, segment, offset);
  const copied = await copyUnlessZero(disk, segment, fileBytes, aside);
  if (copied) await disk.syncDirectory(context.directory);
  const handle = segment.hold("write");
  try {
    handle.file.truncate(from);
  } finally {
    segment.release(handle);
  }
  logger.warn("the log was cut at its first bad batch", {
    segment: segment.path,
    offset,
    byte: from,
    bytes: fileBytes - from,
    reason: why,
    movedTo: copied ? aside : "(only zeros)",
  });
}

async function copyUnlessZero(disk: Disk, segment: Segment, fileBytes: number, aside: string): Promise<boolean> {
  const block = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, fileBytes - segment.size));
  const handle = segment.hold();
  let zeros = true;
  try {
    for (let at = segment.size; at < fileBytes && zeros; at += block.length) {
      const got = await handle.file.readCold(block.subarray(0, Math.min(block.length, fileBytes - at)), at);
      zeros = isZero(block, got);
    }
    if (zeros) return false;
    const copy = disk.open(aside, "create");
    try {
      for (let at = segment.size; at < fileBytes; at += block.length) {
        const got = await handle.file.readCold(block.subarray(0, Math.min(block.length, fileBytes - at)), at);
        copy.write(block.subarray(0, got), at - segment.size);
      }
      await copy.sync();
    } finally {
      copy.close();
    }
    return true;
  } finally {
    segment.release(handle);
  }
}

function isZero(bytes: Buffer, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Renames a whole segment out of the log; its indexes mean nothing any more. */
export async function moveSegmentAside(context: CutContext, segment: Segment, why: string): Promise<void> {
  const { disk, logger } = context;
  const aside = asideName(context, segment, segment.baseOffset);
  disk.remove(segment.pathOf(INDEX_SUFFIX));
  disk.remove(segment.pathOf(TIME_INDEX_SUFFIX));
  disk.remove(segment.pathOf(TRANSACTION_INDEX_SUFFIX));
  if (segment.size > 0) disk.rename(segment.path, aside);
  else disk.remove(segment.path);
  await disk.syncDirectory(context.directory);
  logger.warn("a segment does not belong to the log any more", { segment: segment.path, reason: why, movedTo: aside });
}
