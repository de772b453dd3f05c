/** Making segment objects the way a log's configuration wants them. */
import type { LogConfig, LogShared } from "./log-types.ts";
import { NO_INDEX, Segment } from "./segment.ts";

/** An empty segment with empty indexes; it has a jitter of its own (LogConfig.randomSegmentJitter). Touches no file. */
export function newSegment(shared: LogShared, config: LogConfig, directory: string, baseOffset: number): Segment {
  const jitterMs = Math.min(config.segmentJitterMs, config.segmentMs, 2 ** 31);
  return new Segment({
    files: shared.files,
    directory,
    baseOffset,
    size: 0,
    index: NO_INDEX,
    createdMs: shared.clock.nowMs(),
    rollJitterMs: jitterMs <= 0 ? 0 : shared.random.int(jitterMs),
  });
}
