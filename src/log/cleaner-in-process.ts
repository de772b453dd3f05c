/** Cleans without a thread: for simulations, and for tools that have nothing else to do. */
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { cleanLog } from "./clean-log.ts";
import { CleanThrottle } from "./clean-throttle.ts";
import type { CleanerRunner } from "./cleaner.ts";

export function cleanerInProcess(disk: Disk, clock: Clock): CleanerRunner {
  let stopped = false;
  return {
    run(job, swapIn) {
      stopped = false;
      const throttle = new CleanThrottle(clock, job.limits.bytesPerSecond, () => stopped, true);
      return cleanLog(job, { disk, pace: (bytes) => throttle.pace(bytes) }, swapIn);
    },
    stop() {
      stopped = true;
    },
    rest() {},
  };
}
