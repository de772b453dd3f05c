/**
 * Open files under a bound. A file is opened when it is used and closed when it has not been used for the longest time; one that is
 * held (in a read, or until it is synced) is not closed; those that wait to be synced, or are borrowed for an answer, are counted.
 */
import { type Disk, DiskError, type DiskFile } from "../io/disk.ts";

/** One opening of a file. Hold it across an await; what the holder does on it in one go needs no hold. */
export interface Handle {
  readonly file: DiskFile;
  readonly writable: boolean;
  readonly owner: OpenFile;
  holds: number;
  /** No longer its owner's: closed with the last hold. */
  retired: boolean;
}

/** A file that may be open. Made by `OpenFiles.file`; costs no descriptor until used. */
export class OpenFile {
  /** Changes when the file is renamed: what is open stays open. */
  path: string;
  handle: Handle | null = null;
  /** For good: a read that comes back late must not open what may be another log's file by then. */
  isClosed = false;
  constructor(path: string) {
    this.path = path;
  }
}

export class OpenFiles {
  private readonly disk: Disk;
  private readonly max: number;
  /** Open and not held, the least recently used first. */
  private readonly idle = new Map<OpenFile, true>();
  /** Handles that are open only because they were borrowed. */
  private readonly borrowed = new Set<Handle>();
  /** Holds of files that wait to be synced. */
  private kept = 0;

  constructor(disk: Disk, max: number) {
    this.disk = disk;
    this.max = max;
  }

  /** How many files are open although nobody holds them. */
  get idleCount(): number {
    return this.idle.size;
  }

  /** The open file, for use before the next await. Throws DiskError. */
  use(openFile: OpenFile, mode: "read" | "write" | "create" = "read"): DiskFile {
    return this.handleOf(openFile, mode).file;
  }

  /** The open file, kept open until `release`. Throws DiskError. */
  hold(openFile: OpenFile, mode: "read" | "write" | "create" = "read"): Handle {
    const handle = this.handleOf(openFile, mode);
    if (handle.holds++ === 0) this.idle.delete(openFile);
    return handle;
  }

  /** Holds all or none of the files. Throws DiskError. */
  holdAll(openFiles: readonly OpenFile[]): Handle[] {
    return this.allOrNone(openFiles, (openFile) => this.hold(openFile));
  }

  /** Opens files for one use: they are closed with their release. All or none. Throws DiskError. */
  holdOnce(paths: readonly string[]): Handle[] {
    return this.allOrNone(paths, (path) => {
      const file = this.disk.open(path, "read");
      return { file, writable: false, owner: new OpenFile(path), holds: 1, retired: true };
    });
  }

  release(handle: Handle): void {
    if (--handle.holds > 0) return;
    this.borrowed.delete(handle);
    if (handle.retired) handle.file.close();
    else this.admit(handle.owner);
  }

  /**
   * Takes over a hold until a sync round has ended; pair with `letGo`. Many logs can be written to between two rounds, so there is a bound:
   * false when it is reached, and the hold is released. The round then goes by the path.
   */
  keep(handle: Handle): boolean {
    if (this.kept < this.max / 2) {
      this.kept++;
      this.evict(null);
      return true;
    }
    this.release(handle);
    return false;
  }

  letGo(handle: Handle): void {
    this.kept--;
    this.release(handle);
  }

  /**
   * Holds a file for an answer on its way; pair with `giveBack`. Clients that do not read may keep files open like that, so there is a bound:
   * null when it is reached. Throws DiskError.
   */
  borrow(openFile: OpenFile): Handle | null {
    const handle = this.handleOf(openFile, "read");
    if (handle.holds === 0) {
      if (this.borrowed.size >= this.max) return null;
      this.borrowed.add(handle);
    }
    return this.hold(openFile);
  }

  giveBack(handle: Handle): void {
    this.release(handle);
  }

  /** Closes the file, at once or with its last hold: it is gone, renamed, or about to be opened for writing. */
  retire(openFile: OpenFile): void {
    const handle = openFile.handle;
    if (handle === null) return;
    openFile.handle = null;
    handle.retired = true;
    this.idle.delete(openFile);
    if (handle.holds === 0) handle.file.close();
  }

  /** As `retire`, for good: every later use throws. */
  close(openFile: OpenFile): void {
    this.retire(openFile);
    openFile.isClosed = true;
  }

  private allOrNone<T>(from: readonly T[], hold: (one: T) => Handle): Handle[] {
    const held: Handle[] = [];
    try {
      for (const one of from) held.push(hold(one));
      return held;
    } catch (error) {
      for (const handle of held) this.release(handle);
      throw error;
    }
  }

  private handleOf(openFile: OpenFile, mode: "read" | "write" | "create"): Handle {
    const open = openFile.handle;
    if (open !== null && (open.writable || mode === "read")) {
      if (open.holds === 0) {
        this.idle.delete(openFile);
        this.idle.set(openFile, true);
      }
      return open;
    }
    if (openFile.isClosed) throw new DiskError("open", openFile.path, "EBADF", "its log was closed");
    const file = this.disk.open(openFile.path, mode);
    this.retire(openFile);
    const handle: Handle = { file, writable: mode !== "read", owner: openFile, holds: 0, retired: false };
    openFile.handle = handle;
    this.admit(openFile);
    return handle;
  }

  private admit(openFile: OpenFile): void {
    this.idle.set(openFile, true);
    this.evict(openFile);
  }

  /** Closes the file that was not used for the longest time, if there is one too many; not one that was just opened. */
  private evict(justOpened: OpenFile | null): void {
    if (this.idle.size + this.kept + this.borrowed.size <= this.max) return;
    const oldest = this.idle.keys().next().value;
    if (oldest !== undefined && oldest !== justOpened) this.retire(oldest);
  }
}
