/** What lies in a directory that Kafka wrote: partitions to take, and what is passed over. Only looks. Source: LogManager, LogFileUtils. */
import { type Disk, readWholeFile } from "../io/disk.ts";
import { FORMAT_FILE, LOG_SUFFIX, PARTITION_METADATA_FILE, parsePartitionDirectory } from "../log/file-names.ts";
import { CLUSTER_METADATA_TOPIC } from "../metadata/topic-name.ts";

/** Why nothing can be imported, or not from this directory; the message is for the operator. */
export class ImportError extends Error {
  override name = "ImportError";
}

/** A partition's directory, as found. */
export interface SourcePartition {
  readonly topic: string;
  readonly partition: number;
  readonly path: string;
  /** Where log-start-offset-checkpoint says that the log begins; null if it does not name the partition. */
  readonly logStartOffset: number | null;
}

export interface Source {
  readonly partitions: readonly SourcePartition[];
  /** Entries that are not partitions and not of Kafka's known files either, or are partitions that Kafka itself had given up. */
  readonly passedOver: readonly { readonly path: string; readonly why: string }[];
  /** The partition of Kafka's own metadata, null if it is not here. */
  readonly metadataDirectory: string | null;
  /** A log directory, not one partition's. */
  readonly isWhole: boolean;
}

const META_PROPERTIES = "meta.properties";
const CLEAN_SHUTDOWN = ".kafka_cleanshutdown";
const LOG_START_OFFSETS = "log-start-offset-checkpoint";

const KNOWN_FILES: ReadonlySet<string> = new Set([
  ...[META_PROPERTIES, CLEAN_SHUTDOWN, LOG_START_OFFSETS, ".lock", "bootstrap.checkpoint"],
  ...["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "cleaner-offset-checkpoint"],
]);
const KNOWN_DIRECTORIES: ReadonlySet<string> = new Set(["remote-log-index-cache", "lost+found"]);
/** "topic-0.<unique>-delete" and its like. */
const GIVEN_UP = /^.+-\d+\.[^.]+-(delete|future|stray)$/;
const WHY_GIVEN_UP: Readonly<Record<string, string>> = {
  delete: "its topic was deleted",
  future: "an unfinished copy from another log directory",
  stray: "Kafka did not find its topic any more",
};

/** Lists a log directory of Kafka (an entry of its `log.dirs`), or a single partition's directory. Throws ImportError, DiskError. */
export function readSource(disk: Disk, path: string): Source {
  const entries = disk.list(path);
  if (entries === null) throw new ImportError(`${path}: there is no such directory`);
  const [parent, name] = splitPath(path);
  const single = parsePartitionDirectory(name);
  const looksLikePartition = entries.some((entry) => entry.name.endsWith(LOG_SUFFIX) || entry.name === PARTITION_METADATA_FILE);
  if (single !== null && looksLikePartition) {
    const metadata = `${parent}/${CLUSTER_METADATA_TOPIC}-0`;
    const partition = { ...single, path, logStartOffset: startOffsets(disk, parent).get(name) ?? null };
    checkStopped(disk, parent);
    return {
      partitions: [partition],
      passedOver: [],
      metadataDirectory: disk.exists(metadata) ? metadata : null,
      isWhole: false,
    };
  }
  checkStopped(disk, path);
  return readLogDirectory(disk, path, entries);
}

function readLogDirectory(disk: Disk, path: string, entries: readonly { name: string; isDirectory: boolean }[]): Source {
  const starts = startOffsets(disk, path);
  const partitions: SourcePartition[] = [];
  const passedOver: { path: string; why: string }[] = [];
  let metadataDirectory: string | null = null;
  for (const { name, isDirectory } of entries) {
    const place = `${path}/${name}`;
    const parsed = isDirectory ? parsePartitionDirectory(name) : null;
    const givenUp = isDirectory ? GIVEN_UP.exec(name)?.[1] : undefined;
    if (parsed?.topic === CLUSTER_METADATA_TOPIC) metadataDirectory = place;
    else if (parsed !== null) partitions.push({ ...parsed, path: place, logStartOffset: starts.get(name) ?? null });
    else if (givenUp !== undefined) passedOver.push({ path: place, why: WHY_GIVEN_UP[givenUp]! });
    else if (!(isDirectory ? KNOWN_DIRECTORIES.has(name) : KNOWN_FILES.has(name.replace(/\.tmp$/, ""))))
      passedOver.push({ path: place, why: isDirectory ? "not a partition's directory" : "not a file that is known" });
  }
  if (partitions.length === 0) throw new ImportError(`${path}: there are no partitions in it`);
  return { partitions, passedOver, metadataDirectory, isWhole: true };
}

/** A log directory must have been left in order: nobody writes to it, and its logs are whole. */
function checkStopped(disk: Disk, path: string): void {
  if (disk.exists(`${path}/${FORMAT_FILE}`)) throw new ImportError(`${path} is a data directory of quarkmq, not one of Kafka`);
  if (!disk.exists(`${path}/${META_PROPERTIES}`) || disk.exists(`${path}/${CLEAN_SHUTDOWN}`)) return;
  throw new ImportError(
    `${path} has no ${CLEAN_SHUTDOWN}: its Kafka is running, or was not stopped cleanly (start it once, and stop it with SIGTERM), or a copy left hidden files out`,
  );
}

/** What log-start-offset-checkpoint says, by directory name: a version, a count, and "topic partition offset" lines. */
function startOffsets(disk: Disk, path: string): Map<string, number> {
  const file = `${path}/${LOG_START_OFFSETS}`;
  const bytes = readWholeFile(disk, file);
  const offsets = new Map<string, number>();
  if (bytes === null) return offsets;
  const lines = Buffer.from(bytes).toString("utf8").split(/\r?\n/);
  if (lines.pop() !== "" || lines[0] !== "0" || Number(lines[1]) !== lines.length - 2)
    throw new ImportError(`${file} is damaged or of an unknown version`);
  for (const line of lines.slice(2)) {
    const match = /^(\S+) (\d{1,10}) (\d{1,16})$/.exec(line);
    if (match === null) throw new ImportError(`${file} is damaged: ${line}`);
    offsets.set(`${match[1]}-${match[2]}`, Number(match[3]));
  }
  return offsets;
}

const splitPath = (path: string): [parent: string, name: string] => {
  const slash = path.lastIndexOf("/");
  return [path.slice(0, slash), path.slice(slash + 1)];
};
