/**
 * Group commit over the whole broker. An append marks its log dirty; a round syncs everything that is dirty and then tells each log so;
 * another follows at once if anything became dirty meanwhile. What is in the journal already (journal.ts) makes no haste: it is synced with
 * whatever comes, or after a while. Few files: fdatasync, side by side. Many: one syncfs. A failed sync is
 * final: nothing is retried, nobody is released, and `onFatal` ends the process.
 */
import type { Clock, Scheduled } from "../io/clock.ts";
import { type Disk, type DiskFile, syncFile } from "../io/disk.ts";

/** What of one target a round syncs. The arrays are the target's and stay as they are until `endRound`. */
export interface RoundPart {
  readonly files: readonly DiskFile[];
  /** Files that are not open: there are too many. One that is gone by then needs no sync. */
  readonly paths?: readonly string[];
  readonly directories: readonly string[];
}

/** Something whose files want syncing: a log. */
export interface SyncTarget {
  /** The round begins: what is written from now on is the next round's. Must not throw. */
  beginRound(): RoundPart;
  /** Everything that `beginRound` named is on the disk. Must not throw. May mark the target dirty again. */
  endRound(): void;
}

/** Writes a little something ahead of a round that is synced with it: the recovery points. */
export interface RoundRider {
  /** The file that it wrote to and wants synced in the round that begins now, or null. Must not throw. */
  ride(): DiskFile | null;
}

export interface SyncRoundsOptions {
  readonly disk: Disk;
  /** Where syncfs is asked for. */
  readonly path: string;
  /** A round of more files and directories than this is one syncfs, where there is one. */
  readonly syncFileSystemAbove: number;
  readonly clock: Clock;
  /** How long what is in the journal waits for a round. */
  readonly leisureMs: number;
  readonly onFatal: (error: unknown) => void;
}

export class SyncRounds {
  private readonly disk: Disk;
  private readonly path: string;
  private readonly syncFileSystemAbove: number;
  private readonly onFatal: (error: unknown) => void;
  private rider: RoundRider | null = null;
  private riderWaits = false;
  private dirty: SyncTarget[] = [];
  private inRound: SyncTarget[] = [];
  private readonly files: DiskFile[] = [];
  private readonly paths: string[] = [];
  private readonly directories = new Set<string>();
  private readonly clock: Clock;
  private readonly leisureMs: number;
  private running = false;
  /** Something that is dirty wants its round at once. */
  private isUrgent = false;
  /** The round of what may wait. */
  private later: Scheduled | null = null;
  private failure: { error: unknown } | null = null;
  private begun = false;
  /** Waiting until so many rounds have ended. */
  private waiters: { count: number; resolve: () => void; reject: (error: unknown) => void }[] = [];
  /** Rounds that have ended. */
  count = 0;
  /** How many targets the last round had that began, and had any. */
  width = 0;

  constructor(o: SyncRoundsOptions) {
    this.disk = o.disk;
    this.path = o.path;
    this.syncFileSystemAbove = o.syncFileSystemAbove;
    this.clock = o.clock;
    this.leisureMs = o.leisureMs;
    this.onFatal = o.onFatal;
  }

  /** Whether a sync has failed: nothing is durable any more, and the process is ending. */
  get failed(): boolean {
    return this.failure !== null;
  }

  setRider(rider: RoundRider): void {
    this.rider = rider;
  }

  /** The target wants a round: at once, or if it `mayWait`, sooner or later. It marks itself once per round: see `beginRound`. */
  markDirty(target: SyncTarget, mayWait = false): void {
    this.dirty.push(target);
    if (mayWait) this.startLater();
    else this.hurry();
  }

  /** A target that is dirty already wants its round at once. */
  hurry(): void {
    this.isUrgent = true;
    this.start();
  }

  /** Runs a round for the rider alone, if none is coming anyway. */
  nudge(): void {
    this.riderWaits = true;
    this.hurry();
  }

  /** Whether a round is under way or wanted. */
  get busy(): boolean {
    return this.running || this.later !== null;
  }

  /** Resolves when everything that was dirty at the time of the call is synced; rejects after a failed sync. */
  idle(): Promise<void> {
    if (this.failure !== null) return Promise.reject(this.failure.error);
    if (!this.busy) return Promise.resolve();
    this.hurry();
    const rounds = this.begun && (this.dirty.length > 0 || this.riderWaits) ? 2 : 1;
    return new Promise((resolve, reject) => this.waiters.push({ count: this.count + rounds, resolve, reject }));
  }

  /** For syncs outside the rounds: a failed one is just as final. */
  fail(error: unknown): void {
    if (this.failure !== null) return;
    this.failure = { error };
    this.later?.cancel();
    this.later = null;
    for (const { reject } of this.waiters.splice(0)) reject(error);
    this.onFatal(error);
  }

  /** A round begins with the next turn of the event loop's microtasks, so that all appends of this turn are in it. */
  private start(): void {
    if (this.running || this.failure !== null) return;
    this.later?.cancel();
    this.later = null;
    this.running = true;
    queueMicrotask(() => this.round());
  }

  private startLater(): void {
    if (this.running || this.later !== null || this.failure !== null) return;
    this.later = this.clock.schedule(this.leisureMs, () => {
      this.later = null;
      this.hurry();
    });
  }

  private round(): void {
    this.begun = true;
    try {
      this.begin();
      this.sync()
        .then(() => this.end())
        .catch((error) => this.fail(error));
    } catch (error) {
      this.fail(error); // of a target: a broken invariant
    }
  }

  private begin(): void {
    const targets = this.dirty;
    this.dirty = this.inRound;
    this.inRound = targets;
    if (targets.length > 0) this.width = targets.length;
    this.riderWaits = false;
    this.isUrgent = false;
    this.files.length = 0;
    this.paths.length = 0;
    this.directories.clear();
    const ridden = this.rider?.ride() ?? null;
    if (ridden !== null) this.files.push(ridden);
    for (const target of targets) {
      const { files, paths, directories } = target.beginRound();
      for (const file of files) this.files.push(file);
      if (paths !== undefined) for (const path of paths) this.paths.push(path);
      for (const directory of directories) this.directories.add(directory);
    }
  }

  private sync(): Promise<unknown> {
    const count = this.files.length + this.paths.length + this.directories.size;
    const syncFileSystem = this.disk.syncFileSystem;
    if (count > this.syncFileSystemAbove && syncFileSystem !== null) return syncFileSystem(this.path);
    if (count === 1 && this.files.length === 1) return this.files[0]!.sync();
    const syncs: Promise<void>[] = [];
    for (const file of this.files) syncs.push(file.sync());
    for (const directory of this.directories) syncs.push(this.disk.syncDirectory(directory));
    syncs.push(this.syncPaths([...this.paths]));
    return Promise.all(syncs);
  }

  /** One after the other: it is for want of descriptors that they are not open. */
  private async syncPaths(paths: readonly string[]): Promise<void> {
    for (const path of paths) if (this.disk.exists(path)) await syncFile(this.disk, path);
  }

  private end(): void {
    if (this.failure !== null) return;
    this.count++;
    for (const target of this.inRound) target.endRound();
    this.inRound.length = 0;
    this.begun = false;
    const goesOn = this.isUrgent && (this.dirty.length > 0 || this.riderWaits);
    if (!goesOn) this.running = false;
    if (!goesOn && this.dirty.length > 0) this.startLater();
    this.wakeWaiters();
    if (goesOn) this.round();
  }

  private wakeWaiters(): void {
    if (this.waiters.length === 0) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) {
      if (waiter.count <= this.count) waiter.resolve();
      else this.waiters.push(waiter);
    }
  }
}
