/**
 * What the offset index and the time index share: a file of fixed-size big-endian entries, ascending in a key. The newest entries
 * are in memory and go to the file in blocks; the rest is searched on the file, a page at a time. Entries are hints that readers check
 * against the data, so that a lost or broken file costs a rebuild and never a wrong answer.
 */
import { DiskError } from "../io/disk.ts";
import type { OpenFile, OpenFiles } from "./open-files.ts";

/** Entries that wait in memory before they are written in one go. */
const BLOCK_ENTRIES = 256;
/** Entries per page of a search on the file. */
const PAGE_ENTRIES = 256;

/** Whether the entry at `at` of `entries` lies at or before what is looked for. */
export type AtOrBefore = (entries: Buffer, at: number) => boolean;

/** Takes an entry at `at` of `entries`, the `n`-th of the file. */
export type UseEntry<T> = (entries: Buffer, at: number, n: number) => T;

export class IndexFile {
  readonly entryBytes: number;
  private readonly files: OpenFiles;
  readonly openFile: OpenFile;
  /** Entries that are in the file. */
  private stored: number;
  /** Entries that follow them, in memory only. */
  private tail: Buffer;
  private tailCount = 0;
  /** Whether the file exists with these entries at its beginning and nothing behind them. */
  private fileIsExact: boolean;

  /** `stored`: the entries of the file that are to be believed. The file is cut there before anything is written behind them. */
  constructor(files: OpenFiles, openFile: OpenFile, entryBytes: number, stored: number, fileIsExact: boolean) {
    this.files = files;
    this.openFile = openFile;
    this.entryBytes = entryBytes;
    this.stored = stored;
    this.fileIsExact = fileIsExact;
    this.tail = NO_TAIL;
  }

  get path(): string {
    return this.openFile.path;
  }

  get count(): number {
    return this.stored + this.tailCount;
  }

  /** Whether the file holds all entries and nothing else. */
  get isWritten(): boolean {
    return this.tailCount === 0 && this.fileIsExact;
  }

  /** Whether a block is full and should be written before the next entry. */
  get blockIsFull(): boolean {
    return this.tailCount >= BLOCK_ENTRIES;
  }

  /** Room for one more entry, to be filled in at once: the returned position is in `this.tailBytes`. */
  push(): number {
    const at = this.tailCount * this.entryBytes;
    if (at + this.entryBytes > this.tail.length) this.grow(at);
    this.tailCount++;
    return at;
  }

  get tailBytes(): Buffer {
    return this.tail;
  }

  /** Writes what waits in memory; with nothing waiting it makes sure that the file exists. Throws DiskError and can be called again. */
  flush(): void {
    if (this.tailCount === 0 && this.fileIsExact) return;
    const file = this.files.use(this.openFile, "create");
    const storedBytes = this.stored * this.entryBytes;
    if (!this.fileIsExact && file.size() > storedBytes) file.truncate(storedBytes);
    this.fileIsExact = false; // a failed write may leave a part of itself
    if (this.tailCount > 0) file.write(this.tail.subarray(0, this.tailCount * this.entryBytes), storedBytes);
    this.fileIsExact = true;
    this.stored += this.tailCount;
    this.tailCount = 0;
  }

  /** Gives the memory of the tail back: the segment gets no more entries. */
  settle(): void {
    if (this.tailCount === 0) this.tail = NO_TAIL;
  }

  /** Keeps the first `count` entries. */
  truncate(count: number): void {
    if (count >= this.count) return;
    if (count >= this.stored) {
      this.tailCount = count - this.stored;
      return;
    }
    this.stored = count;
    this.tailCount = 0;
    this.fileIsExact = false;
  }

  /** Runs `use` on the entry `n`: synchronous, blocking if the page is cold. */
  entryAt<T>(n: number, use: (entries: Buffer, at: number) => T): T {
    if (n >= this.stored) return use(this.tail, (n - this.stored) * this.entryBytes);
    const entry = Buffer.alloc(this.entryBytes);
    this.requireBytes(this.files.use(this.openFile).read(entry, n * this.entryBytes), entry.length);
    return use(entry, 0);
  }

  /** Runs `use` on the last entry that is at or before what is looked for, and its number (both -1 if none is). A promise only if pages are cold. */
  search<T>(atOrBefore: AtOrBefore, use: UseEntry<T>): T | Promise<T> {
    return this.searchHot(atOrBefore, use) ?? this.searchCold(atOrBefore, use);
  }

  /** As `search`, but null if pages are cold. */
  searchHot<T>(atOrBefore: AtOrBefore, use: UseEntry<T>): T | null {
    if (this.tailCount > 0 && atOrBefore(this.tail, 0)) {
      const at = this.lastIn(this.tail, this.tailCount, atOrBefore);
      return use(this.tail, at, this.stored + at / this.entryBytes);
    }
    if (this.stored === 0) return use(this.tail, -1, -1);
    let low = 0;
    let high = Math.floor((this.stored - 1) / PAGE_ENTRIES);
    const page = scratchPage(this.entryBytes * PAGE_ENTRIES);
    const file = this.files.use(this.openFile);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (file.readHot(page.subarray(0, this.entryBytes), middle * page.length) !== this.entryBytes) return null;
      if (atOrBefore(page, 0)) low = middle;
      else high = middle - 1;
    }
    const entries = this.entriesInPage(low);
    if (file.readHot(page.subarray(0, entries * this.entryBytes), low * page.length) !== entries * this.entryBytes) return null;
    return this.usePage(page, low, entries, atOrBefore, use);
  }

  /** Visits entry `n` and those behind it in order until the visitor says false. Entries that come meanwhile are visited too, or not. */
  async visit(n: number, visitor: (entries: Buffer, at: number) => boolean): Promise<void> {
    let next = n;
    while (next < this.stored) {
      const count = Math.min(PAGE_ENTRIES, this.stored - next);
      const page = Buffer.alloc(count * this.entryBytes);
      const handle = this.files.hold(this.openFile);
      try {
        const at = next * this.entryBytes;
        const hot = handle.file.readHot(page, at);
        this.requireBytes(hot === page.length ? hot : await handle.file.readCold(page, at), page.length);
      } finally {
        this.files.release(handle);
      }
      for (let i = 0; i < count; i++) if (!visitor(page, i * this.entryBytes)) return;
      next += count;
    }
    for (let i = next - this.stored; i < this.tailCount; i++) if (!visitor(this.tail, i * this.entryBytes)) return;
  }

  private async searchCold<T>(atOrBefore: AtOrBefore, use: UseEntry<T>): Promise<T> {
    const { stored } = this;
    const page = Buffer.alloc(this.entryBytes * PAGE_ENTRIES);
    const handle = this.files.hold(this.openFile);
    try {
      let low = 0;
      let high = Math.floor((stored - 1) / PAGE_ENTRIES);
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        const got = await handle.file.readCold(page.subarray(0, this.entryBytes), middle * page.length);
        this.requireBytes(got, this.entryBytes);
        if (atOrBefore(page, 0)) low = middle;
        else high = middle - 1;
      }
      const entries = Math.min(PAGE_ENTRIES, stored - low * PAGE_ENTRIES);
      const got = await handle.file.readCold(page.subarray(0, entries * this.entryBytes), low * page.length);
      this.requireBytes(got, entries * this.entryBytes);
      return this.usePage(page, low, entries, atOrBefore, use);
    } finally {
      this.files.release(handle);
    }
  }

  private usePage<T>(page: Buffer, number: number, entries: number, atOrBefore: AtOrBefore, use: UseEntry<T>): T {
    const at = this.lastIn(page, entries, atOrBefore);
    return use(page, at, at < 0 ? number * PAGE_ENTRIES - 1 : number * PAGE_ENTRIES + at / this.entryBytes);
  }

  private entriesInPage(page: number): number {
    return Math.min(PAGE_ENTRIES, this.stored - page * PAGE_ENTRIES);
  }

  private requireBytes(got: number, wanted: number): void {
    if (got < wanted) throw new DiskError("read", this.path, "EIO", `the index ends early: ${got} of ${wanted} bytes`);
  }

  /** Position of the last of `count` entries that is at or before what is looked for, -1 if none is. */
  private lastIn(entries: Buffer, count: number, atOrBefore: AtOrBefore): number {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (atOrBefore(entries, middle * this.entryBytes)) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? -1 : (low - 1) * this.entryBytes;
  }

  private grow(used: number): void {
    const larger = Buffer.alloc(Math.max(this.tail.length * 2, 16 * this.entryBytes));
    this.tail.copy(larger, 0, 0, used);
    this.tail = larger;
  }
}

const NO_TAIL = Buffer.alloc(0);

let scratch = Buffer.alloc(0);
/** One page for all hot searches: they end before anything else runs. */
function scratchPage(bytes: number): Buffer {
  if (scratch.length < bytes) scratch = Buffer.from(new ArrayBuffer(bytes));
  return scratch.length === bytes ? scratch : scratch.subarray(0, bytes);
}
