/** Which segments become one: neighbours that together stay within the bounds of a segment. Source: Cleaner.groupSegmentsBySize. */
import { MAX_RELATIVE_OFFSET } from "./batch-scan.ts";
import type { CleanableSegment } from "./clean-job.ts";

export interface GroupBounds {
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  /** First offset behind the last segment. */
  readonly endOffset: number;
}

/** The segments in order, grouped. */
export function groupSegments(segments: readonly CleanableSegment[], bounds: GroupBounds): CleanableSegment[][] {
  const groups: CleanableSegment[][] = [];
  let size = 0;
  let offsetIndexBytes = 0;
  let timeIndexBytes = 0;
  for (const [i, segment] of segments.entries()) {
    const group = groups.at(-1);
    const lastOffset = (segments[i + 1]?.baseOffset ?? bounds.endOffset) - 1;
    if (
      group !== undefined &&
      size + segment.size <= bounds.segmentBytes &&
      offsetIndexBytes + segment.offsetIndexBytes <= bounds.segmentIndexBytes &&
      timeIndexBytes + segment.timeIndexBytes <= bounds.segmentIndexBytes &&
      (segment.size === 0 || lastOffset - group[0]!.baseOffset <= MAX_RELATIVE_OFFSET)
    ) {
      group.push(segment);
      size += segment.size;
      offsetIndexBytes += segment.offsetIndexBytes;
      timeIndexBytes += segment.timeIndexBytes;
    } else {
      groups.push([segment]);
      ({ size, offsetIndexBytes, timeIndexBytes } = segment);
    }
  }
  return groups;
}
