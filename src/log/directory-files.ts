/** The data directory's own small files: its format version, and the marker of a clean shutdown. */
import { type Disk, DiskError, readWholeFile, replaceFile } from "../io/disk.ts";
import { CLEAN_SHUTDOWN_FILE, directoryOf, FORMAT_FILE, JOURNAL_FILE } from "./file-names.ts";
import { decodeVersionedText, encodeVersionedText } from "./versioned-text.ts";

/** The newest version of the data directory that this program knows, and the one that it writes. */
export const DATA_FORMAT_VERSION = 1;
const CLEAN_SHUTDOWN_VERSION = 1;
/** Why a data directory cannot be used; the message is for the operator. */
export class DataDirectoryError extends Error {
  override name = "DataDirectoryError";
}

/**
 * Makes the directory and its missing parents, and syncs the directories that they are new in. Those that are there are no proof of
 * being durable before the format file is: an earlier start may have died between making and syncing them.
 */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<void> {
  if (disk.exists(`${path}/${FORMAT_FILE}`)) return;
  const missing = new Set<string>();
  for (let at = path; at !== "" && !disk.exists(at); at = directoryOf(at)) missing.add(at);
  disk.makeDirectory(path);
  for (let at = path; at !== ""; at = directoryOf(at)) {
    try {
      await disk.syncDirectory(directoryOf(at) || "/");
    } catch (error) {
      // A parent that we may not open: we cannot have made anything in it either.
      if (missing.has(at) || !(error instanceof DiskError && /^(EACCES|EPERM|EROFS|EINVAL)$/.test(error.code))) throw error;
    }
  }
}

/** Reads the format version; a new directory gets one. */
export async function checkFormat(disk: Disk, path: string): Promise<void> {
  const file = `${path}/${FORMAT_FILE}`;
  const bytes = readWholeFile(disk, file);
  if (bytes !== null) {
    if (decodeVersionedText(file, bytes, DATA_FORMAT_VERSION) === null) throw new DataDirectoryError(`${file} is damaged`);
    return;
  }
  if (disk.exists(`${path}/meta.properties`))
    throw new DataDirectoryError(`${path} is the data directory of another Kafka broker; import its partitions into a new one`);
  await replaceFile(disk, file, encodeVersionedText(DATA_FORMAT_VERSION, {}));
}

/** The incarnation that the last shutdown wrote down, null after a crash. The marker is gone, durably, before anything else happens. */
export async function takeCleanShutdownMarker(disk: Disk, path: string): Promise<number | null> {
  const file = `${path}/${CLEAN_SHUTDOWN_FILE}`;
  const bytes = readWholeFile(disk, file);
  if (bytes === null) return null;
  const values = decodeVersionedText(file, bytes, CLEAN_SHUTDOWN_VERSION);
  disk.remove(file);
  await disk.syncDirectory(path);
  const incarnation = Number(values?.get("incarnation"));
  return Number.isSafeInteger(incarnation) ? incarnation : null;
}

/** The last thing that a clean shutdown writes. */
export const writeCleanShutdownMarker = (disk: Disk, path: string, incarnation: number): Promise<void> =>
  replaceFile(disk, `${path}/${CLEAN_SHUTDOWN_FILE}`, encodeVersionedText(CLEAN_SHUTDOWN_VERSION, { incarnation }));

/** Removes the journal (journal.ts), if there is one. Resolves when it is gone for good. Rejects with DiskError. */
export async function removeJournal(disk: Disk, dataPath: string): Promise<void> {
  const path = `${dataPath}/${JOURNAL_FILE}`;
  if (!disk.exists(path)) return;
  disk.remove(path);
  await disk.syncDirectory(dataPath);
}
