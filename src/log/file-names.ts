/** The names of everything in a data directory: Kafka's names for Kafka's formats, names that Kafka does not know for our own. */

export const LOG_SUFFIX = ".log";
export const INDEX_SUFFIX = ".index";
export const TIME_INDEX_SUFFIX = ".timeindex";
/** Only where there are aborted transactions (transaction-index.ts). */
export const TRANSACTION_INDEX_SUFFIX = ".txnindex";
export const SNAPSHOT_SUFFIX = ".snapshot";
/** Our companion of a `.snapshot`: the whole window of each producer (producer-snapshot.ts). */
export const WINDOWS_SUFFIX = ".producer-windows";
/** All files of a segment, its records first: where they are gone, the others mean nothing. */
export const SEGMENT_SUFFIXES: readonly string[] = [
  ...[LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX],
  ...[SNAPSHOT_SUFFIX, WINDOWS_SUFFIX],
];
/** On top of a file's own suffix: it waits for its removal. */
export const DELETED_FILE_SUFFIX = ".deleted";
/** So too: being written by a cleaning; complete, and about to take the place of others (log-swap.ts). */
export const CLEANED_SUFFIX = ".cleaned";
export const SWAP_SUFFIX = ".swap";
export const EPOCHS_FILE = "leader-epoch-checkpoint";
export const PARTITION_METADATA_FILE = "partition.metadata";
/** Ours, in directories that another broker wrote (foreign-end.ts). */
export const FOREIGN_END_FILE = "quarkmq-foreign-end";
/** Ours, in directories that were brought in for a topic that is not known yet (arrival.ts). */
export const ARRIVING_FILE = "quarkmq-arriving";
/** Ours, where a log was compacted (compaction-mark.ts). */
export const COMPACTION_FILE = "quarkmq-compaction";

/** In the data directory itself. */
export const LOCK_FILE = ".lock";
export const FORMAT_FILE = "quarkmq-format";
export const CLEAN_SHUTDOWN_FILE = "quarkmq-clean-shutdown";
export const FAILED_SYNC_FILE = "quarkmq-failed-sync";
export const RECOVERY_POINTS_FILE = "quarkmq-recovery-points";
export const LOG_STARTS_FILE = "quarkmq-log-starts";
export const JOURNAL_FILE = "quarkmq-journal";
export const DELETE_SUFFIX = "-delete";
export const STRAY_SUFFIX = "-stray";

/** "00000000000000001234.log": Kafka's twenty digits. */
export const offsetFileName = (offset: number, suffix: string): string => `${offset.toString().padStart(20, "0")}${suffix}`;

/** The offset in a file name of that suffix, or null if the name is another kind of file's. */
export function offsetOfFileName(name: string, suffix: string): number | null {
  if (name.length !== 20 + suffix.length || !name.endsWith(suffix)) return null;
  const digits = name.slice(0, 20);
  if (!/^\d{20}$/.test(digits)) return null;
  const offset = Number(digits);
  return Number.isSafeInteger(offset) ? offset : null;
}

/** "topic-0": the directory of a partition. */
export const partitionDirectoryName = (topic: string, partition: number): string => `${topic}-${partition}`;

/** The topic and partition that a directory is named after, or null: the last hyphen parts them. */
export function parsePartitionDirectory(name: string): { topic: string; partition: number } | null {
  const match = /^([A-Za-z0-9._-]{1,249})-(0|[1-9]\d{0,9})$/.exec(name);
  if (match === null) return null;
  return { topic: match[1]!, partition: Number(match[2]) };
}

/** Kafka's form: "topic-0.<32 hex digits>-delete", cut where the whole would pass 255 characters. */
export const deletedDirectoryName = (name: string, unique: string): string => renamedDirectory(name, unique, DELETE_SUFFIX);

/** "topic-0.<32 hex digits>-stray": a directory that no topic owns, as Kafka names it. It is kept for its operator. */
export const strayDirectoryName = (name: string, unique: string): string => renamedDirectory(name, unique, STRAY_SUFFIX);

function renamedDirectory(name: string, unique: string, suffix: string): string {
  const ending = `.${unique}${suffix}`;
  return `${name.slice(0, 255 - ending.length)}${ending}`;
}

/** Whether a directory waits for its removal. */
export const isDeletedDirectory = (name: string): boolean => /\.[0-9a-f]{32}-delete$/.test(name);

/** The last name of a path. */
export const lastNameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** The directory that `path` lies in. */
export const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

/** Paths whose file can be rebuilt from the data. */
export const WRONG_INDEX_PATH = /\.(index|timeindex)$/;
