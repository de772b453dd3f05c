/**
 * The whole fault seam between the broker and its file system. Everything that reads or writes the data directory goes through
 * it, so that a simulated disk can lose what was not synced, tear it, or fail any call.
 */

/** A failed call on the disk: `code` is the system's name (ENOSPC, EIO, EROFS, ENOENT, …). A short write is ENOSPC or EIO with `written` > 0. */
export class DiskError extends Error {
  override name = "DiskError";
  readonly operation: string;
  readonly path: string;
  readonly code: string;
  constructor(operation: string, path: string, code: string, detail = "") {
    super(`${operation} ${path}: ${code}${detail === "" ? "" : ` (${detail})`}`);
    this.operation = operation;
    this.path = path;
    this.code = code;
  }
}

/** Whether an error is that of a sync, after which nothing may be retried. */
export const isFailedSync = (error: unknown): boolean =>
  error instanceof DiskError && (error.operation === "fdatasync" || error.operation === "fsync" || error.operation === "syncfs");

/** An open file. Positions and sizes in bytes. Byte arguments stay the caller's; nothing is kept. */
export interface DiskFile {
  readonly path: string;
  /** The current size by the file system. */
  size(): number;
  /** When it was last written to, by the file system: whole milliseconds since the epoch. */
  modifiedMs(): number;
  /** Says so of another time, until it is written to again. A power cut may undo that. */
  setModifiedMs(atMs: number): void;
  /** Writes all of `bytes` at `at`, or throws; after a throw any prefix may have been written. Synchronous: in the page cache on return, not on the disk. */
  write(bytes: Uint8Array, at: number): void;
  /** As `write`, in a thread pool: for much at once. The bytes must not change until it settles. */
  writeInPool(bytes: Uint8Array, at: number): Promise<void>;
  /** Reads up to `into.length` bytes; fewer only at the end of the file. May block on the disk: for recovery, small files and surely hot pages. */
  read(into: Uint8Array, at: number): number;
  /** As `read`, but only what is in the page cache: -1 (or fewer bytes than asked for) when more would block or when the platform cannot tell. */
  readHot(into: Uint8Array, at: number): number;
  /**
   * Sends bytes from `at` on to the socket of that descriptor (net.ts), straight from the page cache: how many it took; 0 when it takes none
   * now; -1 when that cannot be done here, or some are not in the page cache.
   */
  sendHot(socket: number, at: number, length: number): number;
  /** As `read`, in a thread pool: for cold pages. */
  readCold(into: Uint8Array, at: number): Promise<number>;
  /** fdatasync. A rejection means that the file's state is unknown: never retry it, end the process. */
  sync(): Promise<void>;
  truncate(size: number): void;
  close(): void;
}

/** The unit in which a DurableFile is written. */
export const BLOCK_BYTES = 4096;

/** An open file that is written in whole blocks, and never read. */
export interface DurableFile {
  readonly path: string;
  /**
   * Writes all of `bytes`, a `blockBuffer` or the beginning of one (block-buffer.ts), at a multiple of BLOCK_BYTES: when it resolves they are
   * on the disk, as after `sync`. They must not change until it settles. Rejects with DiskError: any part of them may be there or come later.
   */
  write(bytes: Uint8Array, at: number): Promise<void>;
  close(): void;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** A held lock on a data directory; the system releases it when the process dies, however it dies. */
export interface DiskLock {
  release(): void;
}

/** How large a file system is and how much of it this process may still use, in bytes. */
export interface DiskSpace {
  readonly totalBytes: number;
  readonly usableBytes: number;
}

export interface Disk {
  /** "read": must exist. "write": read and write, must exist. "create": read and write, made empty when missing. Throws DiskError. */
  open(path: string, mode: "read" | "write" | "create"): DiskFile;
  /** Opens a file, made empty when missing, for writes that go past the page cache where that can be done. Throws DiskError. */
  openDurable(path: string): DurableFile;
  exists(path: string): boolean;
  /** The entries of a directory in name order, or null when there is no such directory. */
  list(directory: string): DirectoryEntry[] | null;
  /** Makes the directory and its missing parents; not synced. */
  makeDirectory(path: string): void;
  /** Within one file system, replaces the target; not synced: sync the directories. */
  rename(from: string, to: string): void;
  /** Removes a file; no error when it is missing. */
  remove(path: string): void;
  /** As `remove`, in the thread pool: the blocks of a large file take their time. */
  removeInPool(path: string): Promise<void>;
  /** Removes a directory with all in it; no error when it is missing. */
  removeTree(path: string): void;
  /** fsync of a directory: its new, renamed and removed names are durable afterwards. Never retry a rejection. */
  syncDirectory(path: string): Promise<void>;
  /** syncfs of the file system that holds `path` (everything on it, names too), or null where the platform has no such call. Never retry a rejection. */
  syncFileSystem: ((path: string) => Promise<void>) | null;
  /**
   * From now on what is read of a file is what is on the disk, whatever was in memory: after a failed sync they may differ. What waits to be
   * written is written first, or lost; and of what could not be written before, no sync will tell any more. Blocks. False where that cannot be
   * done. Throws DiskError.
   */
  dropCached(path: string): boolean;
  /** Of the file system that holds `path`. Throws DiskError. */
  space(path: string): DiskSpace;
  /** Takes an exclusive lock file, or returns null when another process holds it. */
  lock(path: string): DiskLock | null;
}

/** The bytes of a whole file, or null when it is missing. */
export function readWholeFile(disk: Disk, path: string): Uint8Array | null {
  if (!disk.exists(path)) return null;
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(file.size());
    const got = file.read(bytes, 0);
    return got === bytes.length ? bytes : bytes.subarray(0, got);
  } finally {
    file.close();
  }
}

/** Writes a small file anew, in its place: not synced. Throws DiskError. */
export function writeWholeFile(disk: Disk, path: string, bytes: Uint8Array): void {
  const file = disk.open(path, "create");
  try {
    if (file.size() > 0) file.truncate(0); // ext4 writes out what was cut to nothing when it is closed, and lets us wait
    file.write(bytes, 0);
  } finally {
    file.close();
  }
}

/** The names of the files in a directory, in order, or null when there is no such directory. */
export function fileNames(disk: Disk, directory: string): string[] | null {
  const entries = disk.list(directory);
  return entries === null ? null : entries.filter(({ isDirectory }) => !isDirectory).map(({ name }) => name);
}

/** Replaces a small file so that a crash at any moment leaves the old or the new content: write beside, sync, rename, sync the directory. */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.tmp`;
  disk.remove(beside);
  const file = disk.open(beside, "create");
  try {
    file.write(bytes, 0);
    await file.sync();
  } finally {
    file.close();
  }
  disk.rename(beside, path);
  await disk.syncDirectory(path.slice(0, path.lastIndexOf("/")));
}

/** Syncs a file that is not open. Rejects with DiskError. */
export async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = disk.open(path, "read");
  await file.sync().finally(() => file.close());
}
