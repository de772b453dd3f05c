/**
 * The empty file that says of a partition's directory that it was put together beside its place (`quarkmq import`), for a topic that was not
 * known yet. A start that finds it where no topic owns the directory removes that: nobody was shown what is in it, and it came from elsewhere. It
 * goes as soon as the topic is known. Without it a directory is not removed for being nobody's, unless a new topic wants its name.
 */
import { DiskError } from "../io/disk.ts";
import { ARRIVING_FILE } from "./file-names.ts";
import type { Log } from "./log.ts";

/** The log's topic is known: its directory is like any other from now on. What the disk refuses, the next start asks for again. */
export function settleArrival(log: Log): void {
  if (!log.isArriving || log.offline !== null) return;
  const { shared, directory, name } = log;
  log.isArriving = false;
  try {
    shared.disk.remove(`${directory}/${ARRIVING_FILE}`);
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    shared.logger.warn("the mark of an import could not be removed; the next start tries again", {
      log: name,
      error: error.message,
    });
    return;
  }
  log.sync.include([], [directory], true);
}
