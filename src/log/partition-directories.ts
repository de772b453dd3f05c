/**
 * The directories of partitions by name: whose each is, and how one leaves its name for good. A directory that goes is renamed first;
 * nothing in it is removed before the new name is durable, so that a power cut leaves the whole of it under one of the two.
 */
import type { Logger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import { type Disk, DiskError, readWholeFile, writeWholeFile } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import {
  ARRIVING_FILE,
  deletedDirectoryName,
  isDeletedDirectory,
  PARTITION_METADATA_FILE,
  parsePartitionDirectory,
  partitionDirectoryName,
  strayDirectoryName,
} from "./file-names.ts";
import { decodePartitionMetadata, encodePartitionMetadata } from "./partition-metadata.ts";
import type { Removals } from "./removals.ts";
import type { SyncRounds } from "./sync-rounds.ts";

/** A directory that could not be renamed is tried again after so long. */
const RETRY_MS = 1000;

/** So many directories are renamed before others get their turn: a topic may have thousands. */
const RENAMED_AT_ONCE = 32;

/** A partition's directory, as found. */
export interface FoundPartition {
  readonly topic: string;
  readonly partition: number;
  /** Null if its partition.metadata is missing or damaged. */
  readonly topicId: string | null;
  /** An import brought it (arrival.ts): if no topic owns it, nobody was told of one. */
  readonly isArriving: boolean;
}

export interface DirectoriesContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly dataPath: string;
  readonly rounds: SyncRounds;
  readonly removals: Removals;
}

export class PartitionDirectories {
  private readonly context: DirectoriesContext;
  /** By name: a directory that is about to leave it, until that is durable or has failed. */
  private readonly leaving = new Map<string, Promise<unknown>>();
  /** Renamed since others had their turn; null: the next turn is not asked for yet. */
  private renamed = 0;
  private nextTurn: Promise<void> | null = null;
  private closed = false;

  constructor(context: DirectoriesContext) {
    this.context = context;
  }

  pathOf(name: string): string {
    return `${this.context.dataPath}/${name}`;
  }

  /** The partitions that have a directory of a wanted name. Throws DiskError. */
  found(isWanted: (name: string) => boolean): FoundPartition[] {
    const { disk, dataPath } = this.context;
    const found: FoundPartition[] = [];
    for (const { name, isDirectory } of disk.list(dataPath) ?? []) {
      const parsed = isDirectory && isWanted(name) ? parsePartitionDirectory(name) : null;
      if (parsed !== null) found.push({ ...parsed, topicId: this.topicIdIn(name), isArriving: this.isArriving(name) });
    }
    return found;
  }

  /** Removes in the background what an earlier run renamed for that. */
  removeDeleted(): void {
    const { disk, dataPath, removals } = this.context;
    for (const { name, isDirectory } of disk.list(dataPath) ?? [])
      if (isDirectory && isDeletedDirectory(name)) removals.directory(this.pathOf(name));
  }

  /** Resolves when nothing that is being deleted has the name any more, or cannot be made to leave it. Rejects after a failed sync. */
  async whenFree(name: string): Promise<void> {
    await this.leaving.get(name);
  }

  /** Makes sure that what lies under a partition's name is that partition's. True if its metadata file was written anew, and is not synced. Throws DiskError. */
  claim(name: string, topicId: string): boolean {
    const { disk, logger } = this.context;
    const directory = this.pathOf(name);
    const found = this.topicIdIn(name);
    if (found === topicId || disk.list(directory) === null) return false;
    if (found !== null) {
      logger.warn("a directory of a former topic is in the way: removing it", { directory, topicId: found });
      this.removeWhenDurable(this.renameToDeleted(name));
      return false;
    }
    logger.warn("a partition's metadata file is missing or damaged: writing it anew", { directory });
    writeWholeFile(disk, `${directory}/${PARTITION_METADATA_FILE}`, encodePartitionMetadata(topicId));
    return true;
  }

  /**
   * Removes the directory of a partition that has no open log; `topicId`: whose it is. Resolves when it has left its name for good. A disk
   * that refuses is asked again and again; what is not done when the broker stops does not resolve. Rejects after a failed sync.
   */
  async discard(name: string, topicId: string | null, after?: Promise<unknown>): Promise<void> {
    const left = this.leave(name, () => false, after);
    this.leaving.set(name, left);
    const forget = () => {
      if (this.leaving.get(name) === left) this.leaving.delete(name);
    };
    left.then(forget, forget);
    if (await left) return;
    for (;;) {
      await new Promise<void>((resolve) => this.context.clock.schedule(RETRY_MS, resolve));
      if (this.closed) await new Promise<never>(() => {}); // the next start does it
      if (await this.leave(name, () => this.isAnothers(name, topicId))) return;
    }
  }

  /** Moves a directory that no topic owns out of the way. It stays, for its operator. Resolves when that is durable. Rejects with DiskError. */
  async setAside(name: string): Promise<void> {
    this.renameToStray(name);
    await this.syncNames();
  }

  /** Makes a directory to put a partition's files together in, for `moveIn`. It goes by itself at a start if it never gets there. Throws DiskError. */
  temporary(topic: string, partition: number): string {
    const path = this.pathOf(deletedDirectoryName(partitionDirectoryName(topic, partition), this.unique()));
    this.context.disk.makeDirectory(path);
    return path;
  }

  /** Gives a directory a partition's name; whatever has the name goes. Not durable yet: `syncNames`. Rejects with DiskError. */
  async moveIn(directory: string, name: string): Promise<void> {
    await this.whenFree(name);
    if (this.context.disk.exists(this.pathOf(name))) this.removeWhenDurable(this.renameToDeleted(name));
    this.context.disk.rename(directory, this.pathOf(name));
  }

  /** Resolves when the names in the data directory are durable. Rejects after a failed sync. */
  syncNames(): Promise<void> {
    const { rounds, dataPath } = this.context;
    rounds.markDirty({ beginRound: () => ({ files: [], directories: [dataPath] }), endRound() {} });
    return rounds.idle();
  }

  close(): void {
    this.closed = true;
  }

  /** True: it has left its name for good, there is none, or `isTaken` says so when its turn has come. False: the disk does not let it. */
  private async leave(name: string, isTaken: () => boolean, after?: Promise<unknown>): Promise<boolean> {
    const { disk, logger } = this.context;
    if (after !== undefined) await after;
    while (this.renamed >= RENAMED_AT_ONCE) await this.nextTurn;
    this.countRename();
    let renamed: string;
    try {
      if (isTaken() || !disk.exists(this.pathOf(name))) return true;
      renamed = this.renameToDeleted(name);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      logger.error("a deleted partition's directory could not be renamed; it is tried again", {
        directory: this.pathOf(name),
        error: error.message,
      });
      return false;
    }
    await this.syncNames();
    this.context.removals.directory(renamed);
    return true;
  }

  private countRename(): void {
    this.renamed++;
    this.nextTurn ??= new Promise((resolve) => {
      this.context.clock.schedule(0, () => {
        this.renamed = 0;
        this.nextTurn = null;
        resolve();
      });
    });
  }

  /** Whether the name is another topic's by now. */
  private isAnothers(name: string, topicId: string | null): boolean {
    try {
      const found = this.topicIdIn(name);
      return found !== null && found !== topicId;
    } catch (error) {
      if (error instanceof DiskError) return false; // the rename will tell
      throw error;
    }
  }

  private renameToDeleted(name: string): string {
    const renamed = this.pathOf(deletedDirectoryName(name, this.unique()));
    this.context.disk.rename(this.pathOf(name), renamed);
    return renamed;
  }

  private renameToStray(name: string): void {
    const { disk, logger } = this.context;
    const stray = this.pathOf(strayDirectoryName(name, this.unique()));
    disk.rename(this.pathOf(name), stray);
    logger.warn("a partition's directory belongs to no topic: it was renamed and is kept", { directory: stray });
  }

  private removeWhenDurable(renamed: string): void {
    this.syncNames().then(
      () => this.context.removals.directory(renamed),
      () => {}, // the rounds have told why
    );
  }

  private unique(): string {
    return Buffer.from(this.context.random.bytes(16)).toString("hex");
  }

  private isArriving(name: string): boolean {
    return this.context.disk.exists(`${this.pathOf(name)}/${ARRIVING_FILE}`);
  }

  private topicIdIn(name: string): string | null {
    const bytes = readWholeFile(this.context.disk, `${this.pathOf(name)}/${PARTITION_METADATA_FILE}`);
    return bytes === null ? null : decodePartitionMetadata(bytes);
  }
}
