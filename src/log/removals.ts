/**
 * Removes what has left its name already and only takes up room: files of segments and directories of partitions, in the background, in
 * the pool, one at a time. The pool has as few threads as the machine has cores, and syncs and cold reads need them more: the blocks of a
 * large file take their time.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock, Scheduled } from "../io/clock.ts";
import { type Disk, DiskError } from "../io/disk.ts";

/** What the disk does not remove is tried again after so long. */
const RETRY_MS = 60_000;

export class Removals {
  private readonly disk: Disk;
  private readonly clock: Clock;
  private readonly logger: Logger;
  /** Removed in this order. Directories are named by a slash at their end. */
  private queue: string[] = [];
  private readonly delayed = new Set<Scheduled>();
  private running = false;
  private closed = false;

  constructor(o: { readonly disk: Disk; readonly clock: Clock; readonly logger: Logger }) {
    this.disk = o.disk;
    this.clock = o.clock;
    this.logger = o.logger;
  }

  /** Whether something is being removed or waits for it. */
  get busy(): boolean {
    return this.running || this.delayed.size > 0;
  }

  /** Removes files that nobody will look for any more. What a process leaves, the next opening of the log finds by its suffix. */
  files(paths: readonly string[], delayMs = 0): void {
    if (this.closed || paths.length === 0) return;
    if (delayMs <= 0) return this.enqueue(paths);
    const scheduled = this.clock.schedule(delayMs, () => {
      this.delayed.delete(scheduled);
      this.enqueue(paths);
    });
    this.delayed.add(scheduled);
  }

  /** Removes a directory and the files in it. What a process leaves, the next start finds by its name. */
  directory(path: string): void {
    if (!this.closed) this.enqueue([`${path}/`]);
  }

  /** Nothing more is begun. */
  close(): void {
    this.closed = true;
    this.queue = [];
    for (const scheduled of this.delayed) scheduled.cancel();
    this.delayed.clear();
  }

  private enqueue(paths: readonly string[]): void {
    for (const path of paths) this.queue.push(path);
    if (this.running) return;
    this.running = true;
    this.clock.schedule(0, () => this.run()); // whoever asked goes on first
  }

  private async run(): Promise<void> {
    while (this.queue.length > 0) {
      const queue = this.queue;
      this.queue = [];
      for (const path of queue) if (!this.closed) await this.remove(path);
    }
    this.running = false;
  }

  private async remove(path: string): Promise<void> {
    try {
      if (path.endsWith("/")) await this.removeDirectory(path.slice(0, -1));
      else await this.disk.removeInPool(path);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.logger.warn("what was deleted could not be removed; it is tried again", { path, error: error.message });
      this.files([path], RETRY_MS);
    }
  }

  private async removeDirectory(path: string): Promise<void> {
    for (const { name, isDirectory } of this.disk.list(path) ?? []) {
      if (this.closed) return;
      if (!isDirectory) await this.disk.removeInPool(`${path}/${name}`);
    }
    if (!this.closed) this.disk.removeTree(path); // empty by now
  }
}
