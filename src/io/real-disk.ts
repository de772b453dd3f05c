/** The Disk of a running broker: node:fs, and a little of the C library (libc.ts) for locks, reads that never block, and syncfs. */
import * as fs from "node:fs";
import { type DirectoryEntry, type Disk, DiskError, type DiskFile, type DiskLock, type DurableFile } from "./disk.ts";
import { dropFromCache, isCached, readCached, sendFile, syncfsWorks, tryFlock } from "./libc.ts";
import { syncFileSystemInThread } from "./real-disk-sync.ts";

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? "EIO";

/** Runs a call of node:fs and turns what it throws into a DiskError. */
function attempt<T>(operation: string, path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw error instanceof DiskError ? error : new DiskError(operation, path, codeOf(error));
  }
}

class RealFile implements DiskFile {
  readonly path: string;
  private readonly fd: number;

  constructor(path: string, fd: number) {
    this.path = path;
    this.fd = fd;
  }

  size(): number {
    return attempt("stat", this.path, () => fs.fstatSync(this.fd).size);
  }

  modifiedMs(): number {
    return attempt("stat", this.path, () => Math.floor(fs.fstatSync(this.fd).mtimeMs));
  }

  setModifiedMs(atMs: number): void {
    attempt("utimes", this.path, () => fs.futimesSync(this.fd, new Date(atMs), new Date(atMs)));
  }

  write(bytes: Uint8Array, at: number): void {
    let done = 0;
    while (done < bytes.length) {
      const wrote = attempt("write", this.path, () => fs.writeSync(this.fd, bytes, done, bytes.length - done, at + done));
      if (wrote === 0) throw new DiskError("write", this.path, "EIO", `${done} of ${bytes.length} bytes were taken`);
      done += wrote;
    }
  }

  async writeInPool(bytes: Uint8Array, at: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const wrote = await this.writeOnce(bytes, done, at + done);
      if (wrote === 0) throw new DiskError("write", this.path, "EIO", `${done} of ${bytes.length} bytes were taken`);
      done += wrote;
    }
  }

  read(into: Uint8Array, at: number): number {
    let done = 0;
    while (done < into.length) {
      const got = attempt("read", this.path, () => fs.readSync(this.fd, into, done, into.length - done, at + done));
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  readHot(into: Uint8Array, at: number): number {
    return readCached(this.fd, into, at);
  }

  sendHot(socket: number, at: number, length: number): number {
    return isCached(this.fd, at, length) ? sendFile(socket, this.fd, at, length) : -1;
  }

  async readCold(into: Uint8Array, at: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const got = await this.readOnce(into, done, at + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.fd, (error) =>
        error === null ? resolve() : reject(new DiskError("fdatasync", this.path, codeOf(error))),
      );
    });
  }

  truncate(size: number): void {
    attempt("truncate", this.path, () => fs.ftruncateSync(this.fd, size));
  }

  close(): void {
    attempt("close", this.path, () => fs.closeSync(this.fd));
  }

  private writeOnce(bytes: Uint8Array, from: number, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.fd, bytes, from, bytes.length - from, at, (error, wrote) =>
        error === null ? resolve(wrote) : reject(new DiskError("write", this.path, codeOf(error))),
      );
    });
  }

  private readOnce(into: Uint8Array, from: number, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.fd, into, from, into.length - from, at, (error, got) =>
        error === null ? resolve(got) : reject(new DiskError("read", this.path, codeOf(error))),
      );
    });
  }
}

const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants;
/** Not every system has them: a write is then followed by a sync, and goes through the page cache. */
const { O_DSYNC = 0, O_DIRECT = 0 }: { O_DSYNC?: number; O_DIRECT?: number } = fs.constants;
const OPEN_FLAGS = { read: O_RDONLY, write: O_RDWR, create: O_RDWR | O_CREAT } as const;
const FILE_MODE = 0o644;

const openFile = (path: string, flags: number): RealFile =>
  attempt("open", path, () => new RealFile(path, fs.openSync(path, flags, FILE_MODE)));

/** A write is on the disk when the system says that it is done. File systems that cannot pass the page cache say so when they are opened or written to. */
class RealDurableFile implements DurableFile {
  readonly path: string;
  private isDirect = O_DIRECT !== 0;
  private file: RealFile;

  constructor(path: string) {
    this.path = path;
    this.file = this.open();
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    try {
      await this.file.writeInPool(bytes, at);
    } catch (error) {
      if (!this.isRefused(error)) throw error;
      const refusing = this.file;
      this.file = this.open();
      refusing.close();
      await this.file.writeInPool(bytes, at);
    }
    if (O_DSYNC === 0) await this.file.sync();
  }

  close(): void {
    this.file.close();
  }

  private open(): RealFile {
    const flags = OPEN_FLAGS.create | O_DSYNC;
    try {
      return openFile(this.path, this.isDirect ? flags | O_DIRECT : flags);
    } catch (error) {
      if (!this.isRefused(error)) throw error;
      return openFile(this.path, flags);
    }
  }

  /** Whether it failed for want of direct writes: from then on there are none. */
  private isRefused(error: unknown): boolean {
    if (!this.isDirect || !(error instanceof DiskError) || error.code !== "EINVAL") return false;
    this.isDirect = false;
    return true;
  }
}

function list(directory: string): DirectoryEntry[] | null {
  try {
    const entries = fs.readdirSync(directory, { withFileTypes: true });
    return entries
      .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (error) {
    if (codeOf(error) === "ENOENT") return null;
    throw new DiskError("list", directory, codeOf(error));
  }
}

/** fsync of a directory, in the pool. */
function syncDirectory(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => reject(new DiskError("fsync", path, codeOf(error)));
    fs.open(path, O_RDONLY, (openError, fd) => {
      if (openError !== null) return fail(openError);
      fs.fsync(fd, (syncError) => {
        fs.close(fd, () => (syncError === null ? resolve() : fail(syncError)));
      });
    });
  });
}

/** unlink, in the pool. */
function removeInPool(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.unlink(path, (error) =>
      error === null || codeOf(error) === "ENOENT" ? resolve() : reject(new DiskError("remove", path, codeOf(error))),
    );
  });
}

function dropCached(path: string): boolean {
  const fd = attempt("open", path, () => fs.openSync(path, O_RDONLY));
  try {
    try {
      fs.fdatasyncSync(fd);
    } catch {
      // reading will tell
    }
    return dropFromCache(fd);
  } finally {
    fs.closeSync(fd);
  }
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
};

/** Where there is no flock: the file names the process that holds it. Weaker (a pid can be reused), but it stops the usual accident. */
function lockByPid(path: string, fd: number): boolean {
  const holder = Number(fs.readFileSync(path, "utf8").trim());
  if (Number.isInteger(holder) && holder > 0 && holder !== process.pid && isAlive(holder)) return false;
  fs.ftruncateSync(fd, 0);
  fs.writeSync(fd, `${process.pid}\n`, 0);
  return true;
}

function lock(path: string): DiskLock | null {
  const fd = attempt("lock", path, () => fs.openSync(path, OPEN_FLAGS.create, FILE_MODE));
  const outcome = tryFlock(fd);
  const taken = outcome === "taken" || (outcome === "unknown" && attempt("lock", path, () => lockByPid(path, fd)));
  if (!taken) {
    fs.closeSync(fd);
    return null;
  }
  return { release: () => fs.closeSync(fd) };
}

/** The file system of this machine. Stateless but for the thread that syncs whole file systems. */
export const realDisk: Disk = {
  open: (path, mode) => openFile(path, OPEN_FLAGS[mode]),
  openDurable: (path) => new RealDurableFile(path),
  exists: (path) => fs.existsSync(path),
  list,
  makeDirectory: (path) => attempt("mkdir", path, () => void fs.mkdirSync(path, { recursive: true, mode: 0o755 })),
  rename: (from, to) => attempt("rename", from, () => fs.renameSync(from, to)),
  remove: (path) => attempt("remove", path, () => fs.rmSync(path, { force: true })),
  removeInPool,
  removeTree: (path) => attempt("remove", path, () => fs.rmSync(path, { force: true, recursive: true })),
  syncDirectory,
  get syncFileSystem() {
    return syncfsWorks() ? syncFileSystemInThread : null;
  },
  dropCached,
  space(path) {
    const { blocks, bavail, bsize } = attempt("statfs", path, () => fs.statfsSync(path));
    return { totalBytes: blocks * bsize, usableBytes: bavail * bsize };
  },
  lock,
};
