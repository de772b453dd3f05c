/**
 * A disk in memory that keeps exactly the promises of a real one, and no more. Until it is synced, a write may be lost, torn at a sector,
 * or kept although an earlier one is lost; a new, renamed or removed name may be forgotten. Any call can be made to fail. All from a seed.
 */
import { ptr } from "bun:ffi";
import type { Clock } from "../../src/io/clock.ts";
import {
  BLOCK_BYTES,
  type DirectoryEntry,
  type Disk,
  DiskError,
  type DiskFile,
  type DiskLock,
  type DiskSpace,
  type DurableFile,
} from "../../src/io/disk.ts";
import { FakeInode } from "./fake-inode.ts";
import type { SeededRandom } from "./seeded-random.ts";

type Node = FakeInode | FakeDirectory;
type NameChange = { readonly name: string; readonly node: Node | null };

/** A directory: names as programs see them, as a power cut would leave them, and the changes in between, each of them atomic. */
class FakeDirectory {
  current = new Map<string, Node>();
  private durable = new Map<string, Node>();
  private pending: NameChange[][] = [];
  private settled = 0;

  change(changes: NameChange[]): void {
    apply(this.current, changes);
    this.pending.push(changes);
  }

  mark(): number {
    return this.settled + this.pending.length;
  }

  settle(mark: number): void {
    const count = mark - this.settled;
    if (count <= 0) return;
    for (const changes of this.pending.splice(0, count)) apply(this.durable, changes);
    this.settled = mark;
  }

  /** A journalling file system keeps a beginning of what was done to a directory. */
  cutPower(random: SeededRandom): void {
    this.settle(this.settled + random.int(this.pending.length + 1));
    this.settled += this.pending.length;
    this.pending = [];
    this.current = new Map(this.durable);
    for (const node of this.current.values()) node.cutPower(random);
  }
}

function apply(names: Map<string, Node>, changes: readonly NameChange[]): void {
  for (const { name, node } of changes) {
    if (node === null) names.delete(name);
    else names.set(name, node);
  }
}

/** What an injected failure does: throws `code`; a write has put down `written` bytes by then. */
export interface Fault {
  readonly code: string;
  readonly written?: number;
}

export interface FakeDiskOptions {
  readonly random: SeededRandom;
  /** Syncs take some time of it; without it they take none. */
  readonly clock?: Clock;
  /** Whether there is a syncfs. */
  readonly hasSyncFileSystem?: boolean;
  /** How often `readHot` finds its pages in memory, 0 to 1. */
  readonly hotChance?: number;
}

class FakeFile implements DiskFile {
  readonly path: string;
  private readonly disk: FakeDisk;
  private readonly node: FakeInode;
  private readonly boot: number;
  private closed = false;

  constructor(disk: FakeDisk, path: string, node: FakeInode) {
    this.disk = disk;
    this.path = path;
    this.node = node;
    this.boot = disk.boot;
  }

  size(): number {
    this.check("stat");
    return this.node.size;
  }

  modifiedMs(): number {
    this.check("stat");
    return this.node.modifiedMs;
  }

  setModifiedMs(atMs: number): void {
    this.check("utimes");
    this.node.modifiedMs = atMs;
  }

  write(bytes: Uint8Array, at: number): void {
    const fault = this.check("write", bytes.length);
    const room = Math.min(this.disk.roomFor(this.node, at, bytes.length), fault?.written ?? bytes.length);
    if (room > 0) this.node.write(bytes.subarray(0, room), at, this.disk.nowMs());
    if (fault !== null) throw new DiskError("write", this.path, fault.code);
    if (room < bytes.length) throw new DiskError("write", this.path, "ENOSPC");
  }

  async writeInPool(bytes: Uint8Array, at: number): Promise<void> {
    await this.disk.pause(0.1);
    this.write(bytes, at);
  }

  read(into: Uint8Array, at: number): number {
    this.check("read");
    return this.node.read(into, at);
  }

  /** Nobody has a socket to a simulated disk. */
  sendHot(): number {
    return -1;
  }

  readHot(into: Uint8Array, at: number): number {
    this.check("readHot");
    return this.disk.isHot() ? this.node.read(into, at) : -1;
  }

  async readCold(into: Uint8Array, at: number): Promise<number> {
    this.check("read");
    await this.disk.pause(0.1);
    return this.node.read(into, at);
  }

  async sync(): Promise<void> {
    try {
      this.check("fdatasync");
    } catch (error) {
      if (this.boot === this.disk.boot) this.node.failWriteBack();
      throw error;
    }
    await this.settle();
  }

  /** What was written so far comes to the disk, in a while. */
  async settle(): Promise<void> {
    const mark = this.node.mark();
    await this.disk.pause(2);
    this.node.settle(mark);
  }

  truncate(size: number): void {
    this.check("truncate");
    this.node.truncate(size, this.disk.nowMs());
  }

  close(): void {
    if (this.closed) throw new Error(`${this.path} is closed twice`);
    this.closed = true;
    if (this.boot === this.disk.boot) this.disk.openFiles--;
  }

  private check(operation: string, bytes = 0): Fault | null {
    if (this.boot !== this.disk.boot) throw new DiskError(operation, this.path, "EBADF", "opened before the crash");
    if (this.closed) throw new Error(`${operation} of ${this.path}, which is closed`);
    return this.disk.strike(operation, this.path, bytes);
  }
}

/** Written, and on the disk a little later. It takes what a file that passes the page cache takes: whole blocks. */
class FakeDurableFile implements DurableFile {
  readonly path: string;
  private readonly file: FakeFile;

  constructor(file: FakeFile) {
    this.path = file.path;
    this.file = file;
  }

  async write(bytes: Uint8Array, at: number): Promise<void> {
    if ([bytes.length, at, Number(ptr(bytes))].some((n) => n % BLOCK_BYTES !== 0))
      throw new DiskError("write", this.path, "EINVAL");
    await this.file.writeInPool(bytes, at);
    await this.file.settle();
  }

  close(): void {
    this.file.close();
  }
}

export class FakeDisk implements Disk {
  readonly syncFileSystem: ((path: string) => Promise<void>) | null;
  /** Asked before every call: a fault to inject, or null. `bytes`: of a write. */
  fault: ((operation: string, path: string, bytes: number) => Fault | null) | null = null;
  /** Files may take so much together. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** Calls so far. */
  calls = 0;
  openFiles = 0;
  /** Grows with every crash: handles of an older one are dead. */
  boot = 0;
  private readonly random: SeededRandom;
  private readonly clock: Clock | null;
  private readonly hotChance: number;
  private readonly root = new FakeDirectory();
  private locks = new Set<string>();

  constructor(o: FakeDiskOptions) {
    this.random = o.random;
    this.clock = o.clock ?? null;
    this.hotChance = o.hotChance ?? 1;
    this.syncFileSystem = o.hasSyncFileSystem ? (path) => this.syncAll(path) : null;
  }

  /** The process dies; the machine goes on: nothing is lost but open files and locks. */
  kill(): void {
    this.boot++;
    this.openFiles = 0;
    this.locks = new Set();
    this.fault = null;
  }

  /** The machine dies: what was not synced is anyone's guess. */
  cutPower(): void {
    this.kill();
    this.root.cutPower(this.random);
  }

  /** Flips the bits of `mask` in one byte of a file. */
  damage(path: string, at: number, mask = 1): void {
    this.fileAt("damage", path).damage(at, mask);
  }

  /**
   * What of a file was not on the disk never comes there, unless it is written again: no later sync tells, as with Linux. So it is after a
   * sync that fails, too.
   */
  failWriteBack(path: string): void {
    this.fileAt("write-back", path).failWriteBack();
  }

  open(path: string, mode: "read" | "write" | "create"): FakeFile {
    this.strike("open", path);
    const [directory, name] = this.parent("open", path);
    let node = directory.current.get(name);
    if (node === undefined) {
      if (mode !== "create") throw new DiskError("open", path, "ENOENT");
      node = new FakeInode(this.nowMs());
      directory.change([{ name, node }]);
    }
    if (node instanceof FakeDirectory) throw new DiskError("open", path, "EISDIR");
    this.openFiles++;
    return new FakeFile(this, path, node);
  }

  openDurable(path: string): DurableFile {
    return new FakeDurableFile(this.open(path, "create"));
  }

  exists(path: string): boolean {
    return this.find(path) !== null;
  }

  list(path: string): DirectoryEntry[] | null {
    this.strike("list", path);
    const node = this.find(path);
    if (node === null) return null;
    if (!(node instanceof FakeDirectory)) throw new DiskError("list", path, "ENOTDIR");
    return [...node.current]
      .map(([name, entry]) => ({ name, isDirectory: entry instanceof FakeDirectory }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  makeDirectory(path: string): void {
    this.strike("mkdir", path);
    let at = this.root;
    for (const name of parts(path)) {
      let next = at.current.get(name);
      if (next === undefined) {
        next = new FakeDirectory();
        at.change([{ name, node: next }]);
      }
      if (!(next instanceof FakeDirectory)) throw new DiskError("mkdir", path, "ENOTDIR");
      at = next;
    }
  }

  rename(from: string, to: string): void {
    this.strike("rename", from);
    const [source, oldName] = this.parent("rename", from);
    const [target, newName] = this.parent("rename", to);
    const node = source.current.get(oldName);
    if (node === undefined) throw new DiskError("rename", from, "ENOENT");
    if (source !== target) throw new Error("the simulated disk renames within a directory only");
    const replaced = target.current.get(newName);
    if (replaced instanceof FakeDirectory && replaced.current.size > 0) throw new DiskError("rename", from, "ENOTEMPTY");
    source.change([
      { name: oldName, node: null },
      { name: newName, node },
    ]);
  }

  remove(path: string): void {
    this.strike("remove", path);
    if (this.find(path) === null) return;
    const [directory, name] = this.parent("remove", path);
    if (directory.current.get(name) instanceof FakeDirectory) throw new DiskError("remove", path, "EISDIR");
    directory.change([{ name, node: null }]);
  }

  async removeInPool(path: string): Promise<void> {
    this.strike("remove", path);
    await this.pause(0.5);
    if (this.find(path) === null) return;
    const [directory, name] = this.parent("remove", path);
    if (directory.current.get(name) instanceof FakeDirectory) throw new DiskError("remove", path, "EISDIR");
    directory.change([{ name, node: null }]);
  }

  removeTree(path: string): void {
    this.strike("remove", path);
    if (this.find(path) === null) return;
    const [directory, name] = this.parent("remove", path);
    directory.change([{ name, node: null }]);
  }

  async syncDirectory(path: string): Promise<void> {
    this.strike("fsync", path);
    const node = this.find(path);
    if (!(node instanceof FakeDirectory)) throw new DiskError("fsync", path, "ENOENT");
    const mark = node.mark();
    await this.pause(2);
    node.settle(mark);
  }

  dropCached(path: string): boolean {
    this.strike("fadvise", path);
    this.fileAt("fadvise", path).dropCached();
    return true;
  }

  lock(path: string): DiskLock | null {
    this.strike("lock", path);
    if (this.locks.has(path)) return null;
    const { locks } = this;
    locks.add(path);
    return { release: () => void locks.delete(path) };
  }

  /** For files of this disk: counts a call, fails it if a test wants that. Writes get the fault back, to put down a part first. */
  strike(operation: string, path: string, bytes = 0): Fault | null {
    this.calls++;
    const fault = this.fault?.(operation, path, bytes) ?? null;
    if (fault === null || operation === "write") return fault;
    throw new DiskError(operation, path, fault.code);
  }

  /** How many of `bytes` at `at` still fit. */
  roomFor(node: FakeInode, at: number, bytes: number): number {
    if (this.capacityBytes === Number.POSITIVE_INFINITY) return bytes;
    const free = this.capacityBytes - this.usedBytes();
    const grows = Math.max(0, at + bytes - node.size);
    return grows <= free ? bytes : Math.max(0, bytes - (grows - Math.max(0, free)));
  }

  space(): DiskSpace {
    const totalBytes = Math.min(this.capacityBytes, Number.MAX_SAFE_INTEGER);
    return { totalBytes, usableBytes: Math.max(0, totalBytes - this.usedBytes()) };
  }

  /** Size of all files. */
  usedBytes(): number {
    const sum = (directory: FakeDirectory): number => {
      let bytes = 0;
      for (const node of directory.current.values()) bytes += node instanceof FakeDirectory ? sum(node) : node.size;
      return bytes;
    };
    return sum(this.root);
  }

  /** For files of this disk: the time of its clock, 0 without one. */
  nowMs(): number {
    return this.clock?.nowMs() ?? 0;
  }

  isHot(): boolean {
    return this.hotChance >= 1 || this.random.chance(this.hotChance);
  }

  /** Takes up to so long; for ever if the machine crashes meanwhile. */
  async pause(maxMs: number): Promise<void> {
    const { boot, clock } = this;
    await (clock === null
      ? Promise.resolve()
      : new Promise<void>((resolve) => clock.schedule(this.random.fraction() * maxMs, resolve)));
    if (boot !== this.boot) await new Promise<never>(() => {});
  }

  private async syncAll(path: string): Promise<void> {
    const marks: [Node, number][] = [];
    const collect = (directory: FakeDirectory): void => {
      marks.push([directory, directory.mark()]);
      for (const node of directory.current.values()) {
        if (node instanceof FakeDirectory) collect(node);
        else marks.push([node, node.mark()]);
      }
    };
    collect(this.root);
    try {
      this.strike("syncfs", path);
    } catch (error) {
      for (const [node] of marks) if (node instanceof FakeInode) node.failWriteBack();
      throw error;
    }
    await this.pause(3);
    for (const [node, mark] of marks) node.settle(mark);
  }

  private fileAt(operation: string, path: string): FakeInode {
    const node = this.find(path);
    if (node instanceof FakeInode) return node;
    throw new DiskError(operation, path, "ENOENT");
  }

  private find(path: string): Node | null {
    return this.walk(parts(path));
  }

  private walk(names: readonly string[]): Node | null {
    let at: Node = this.root;
    for (const name of names) {
      const next: Node | undefined = at instanceof FakeDirectory ? at.current.get(name) : undefined;
      if (next === undefined) return null;
      at = next;
    }
    return at;
  }

  private parent(operation: string, path: string): [FakeDirectory, string] {
    const names = parts(path);
    const name = names.at(-1);
    const directory = this.walk(names.slice(0, -1));
    if (name === undefined || !(directory instanceof FakeDirectory)) throw new DiskError(operation, path, "ENOENT");
    return [directory, name];
  }
}

const MAX_KNOWN_PATHS = 10_000;
const knownPaths = new Map<string, readonly string[]>();

/** The names of a path. */
function parts(path: string): readonly string[] {
  let names = knownPaths.get(path);
  if (names === undefined) {
    names = path.split("/").filter((name) => name !== "");
    if (knownPaths.size >= MAX_KNOWN_PATHS) knownPaths.clear();
    knownPaths.set(path, names);
  }
  return names;
}
