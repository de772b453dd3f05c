/** The thread that cleans logs: it reads and writes files, and nothing else. Started by cleaner-thread.ts. */
import { realClock } from "../io/clock.ts";
import { yieldToOtherThreads } from "../io/libc.ts";
import { realDisk } from "../io/real-disk.ts";
import { listenInThread } from "../io/worker-thread.ts";
import { cleanLog } from "./clean-log.ts";
import { CleanThrottle } from "./clean-throttle.ts";
import { type FromCleaner, type PlainError, plainError, revivedError, type ToCleaner } from "./cleaner-messages.ts";

/** Consumers and producers come first. */
const NICENESS = 10;

let onSwapped: ((error: PlainError | null) => void) | null = null;

const answer = listenInThread((message) => {
  const told = message as ToCleaner;
  if (told.kind === "swapped") onSwapped?.(told.error);
  else void clean(told);
}) as (message: FromCleaner) => void;

async function clean({ job, stop }: ToCleaner & { kind: "job" }): Promise<void> {
  const throttle = new CleanThrottle(realClock, job.limits.bytesPerSecond, () => Atomics.load(stop, 0) !== 0, false);
  try {
    const seam = { disk: realDisk, pace: (bytes: number) => throttle.pace(bytes) };
    const stats = await cleanLog(job, seam, (group) => {
      const swapped = new Promise<void>((resolve, reject) => {
        onSwapped = (error) => (error === null ? resolve() : reject(revivedError(error)));
      });
      answer({ kind: "group", group });
      return swapped;
    });
    answer({ kind: "done", stats });
  } catch (error) {
    answer({ kind: "failed", error: plainError(error) });
  }
}

yieldToOtherThreads(NICENESS);
