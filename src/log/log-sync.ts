/**
 * One log's part in the sync rounds: what it has written since the last round, up to where a round carries it, and its recovery point,
 * which never passes anything (data, indexes, snapshots, leader epochs) that is not on the disk.
 *
 * What the journal (journal.ts) has is durable before its files are. It counts only if a start could put it back: not while a name is
 * not durable (of a directory, of a segment), nor above something that is not in the journal. A round that begins then ends that.
 */
import { DiskError, type DiskFile } from "../io/disk.ts";
import { EPOCHS_FILE, lastNameOf } from "./file-names.ts";
import type { JournalSource } from "./journal.ts";
import { journalKey } from "./journal-format.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { Durability, LogShared } from "./log.ts";
import { type Handle, OpenFile } from "./open-files.ts";
import { removeSnapshot } from "./producer-recovery.ts";
import type { RecoveryPoint, RecoveryPointSource } from "./recovery-points.ts";
import type { Segment } from "./segment.ts";
import type { RoundPart, SyncTarget } from "./sync-rounds.ts";

/** The log, as far as its syncing goes. */
export interface SyncedLog {
  readonly shared: LogShared;
  readonly name: string;
  readonly topicId: string;
  readonly partition: number;
  readonly directory: string;
  readonly durability: Durability;
  readonly leaderEpochs: LeaderEpochs;
  readonly active: Segment | undefined;
  readonly logEndOffset: number;
  readonly endBytes: number;
  /** Everything below `offset` is synced; it lies at `point`, if that has the same offset. */
  synced(offset: number, bytes: number, point: RecoveryPoint): void;
}

const NO_PATHS: readonly string[] = [];

/** An end of a log that the journal has. */
interface JournaledEnd {
  readonly bytes: number;
  readonly point: RecoveryPoint;
}

export class LogSync implements SyncTarget, RecoveryPointSource, JournalSource {
  readonly topicId: string;
  readonly partition: number;
  recoveryPoint: RecoveryPoint;
  private readonly log: SyncedLog;
  private readonly shared: LogShared;
  private readonly epochsFile: OpenFile;
  /** `leaderEpochs.changes` of what the checkpoint file holds. */
  private epochsWritten: number;
  private dirty = false;
  private closed = false;
  /** Set by the last round of a clean shutdown: then page-cache logs are synced too. */
  private syncsEverything: boolean;
  /** The active segment's file, if something was appended to it since the last round, and it may stay open. */
  private appendedTo: Handle | null = null;
  /** The same where too many are open already. */
  private appendedToPath: string | null = null;
  private pendingHandles: Handle[] = [];
  /** Files to be synced that are not kept open. */
  private pendingPaths: string[] = [];
  private readonly pendingDirectories = new Set<string>();
  private staleSnapshots: number[] = [];
  readonly journalKey: Buffer;
  isInJournal = false;
  /** What the journal has does not count before a round has ended that begins from now on. */
  private needsRound = false;
  /** Where the log ended when what the journal has was on its way there, and when it was there but did not count yet. */
  private onItsWay: JournaledEnd | null = null;
  private journaled: JournaledEnd | null = null;
  private readonly round = {
    running: false,
    /** The journal waits for its end. */
    isNeeded: false,
    files: [] as DiskFile[],
    paths: NO_PATHS,
    directories: NO_PATHS,
    handles: [] as Handle[],
    staleSnapshots: [] as number[],
    /** Whether the index of aborted transactions is synced with it as far as the log is. */
    transactionsAreWritten: true,
    /** The change of the epochs that was written beside their file; -1 for none. */
    epochs: -1,
    endBytes: 0,
    point: { offset: 0, segmentBaseOffset: 0, position: 0 },
  };

  constructor(log: SyncedLog, recoveryPoint: RecoveryPoint, epochsWritten: number) {
    this.log = log;
    this.shared = log.shared;
    this.topicId = log.topicId;
    this.partition = log.partition;
    this.recoveryPoint = recoveryPoint;
    this.epochsWritten = epochsWritten;
    this.syncsEverything = log.durability === "sync";
    this.journalKey = journalKey(log.topicId, lastNameOf(log.directory));
    this.epochsFile = new OpenFile(`${log.directory}/${EPOCHS_FILE}.tmp`);
  }

  /** Whether a round with this log in it is under way. */
  get inRound(): boolean {
    return this.round.running;
  }

  /** Whether anything waits to be synced. */
  get hasWork(): boolean {
    const isPending = this.pendingHandles.length > 0 || this.pendingPaths.length > 0 || this.pendingDirectories.size > 0;
    return isPending || this.hasAppended || this.epochsAreBehind;
  }

  /** Whether the checkpoint file lacks an epoch. */
  get epochsAreBehind(): boolean {
    return this.log.leaderEpochs.changes !== this.epochsWritten;
  }

  /** A batch was appended through `handle` to the active segment, at `position`. The hold passes to this object, the bytes stay the caller's. */
  appended(handle: Handle, position: number, bytes: Uint8Array): void {
    const { files, journal } = this.shared;
    if (!this.syncsEverything) {
      files.release(handle); // its file is synced when the segment is finished, or at the end
      this.appendedToPath = handle.owner.path;
      return;
    }
    if (this.appendedTo === handle) files.release(handle);
    else {
      if (this.appendedTo !== null) this.pendingHandles.push(this.appendedTo);
      this.appendedTo = files.keep(handle) ? handle : null;
      if (this.appendedTo === null) this.appendedToPath = handle.owner.path;
    }
    const isTaken = journal.take(this, this.log.active!.baseOffset, position, bytes);
    if (!isTaken) this.needsRound = true;
    this.markDirty(isTaken);
  }

  private get hasAppended(): boolean {
    return this.appendedTo !== null || this.appendedToPath !== null;
  }

  /** The next round syncs these files and directories. The holds of the handles pass to this object. Page-cache logs wait for a roll, which is `urgent`. */
  include(handles: readonly Handle[], directories: readonly string[], urgent = false): void {
    for (const handle of handles) this.keep(handle);
    for (const directory of directories) this.pendingDirectories.add(directory);
    if (directories.length > 0) this.needsRound = true;
    if (urgent || this.syncsEverything) this.markDirty();
  }

  /** The next round syncs this file, open or not. The hold passes to this object. */
  private keep(handle: Handle): void {
    if (this.shared.files.keep(handle)) this.pendingHandles.push(handle);
    else this.pendingPaths.push(handle.owner.path);
  }

  /** The active segment's file is among the included ones, or gone. */
  forgetActive(): void {
    if (this.appendedTo !== null) this.shared.files.letGo(this.appendedTo);
    this.appendedTo = null;
    this.appendedToPath = null;
  }

  /** The log was cut: what the journal has of it is void. Resolves when a start would know. Nothing is appended meanwhile. */
  async forgetJournaled(): Promise<void> {
    await this.shared.journal.forget(this);
    this.journaled = null; // the journal has had an end of it once more: where it was before the cut
    this.onItsWay = null;
  }

  /** A snapshot that a newer one makes needless: removed when the newer one is synced. */
  discardSnapshot(offset: number): void {
    this.staleSnapshots.push(offset);
  }

  /** From now on rounds sync whatever was appended, page-cache log or not. */
  syncEverything(): void {
    this.syncsEverything = true;
    this.markDirty();
  }

  /** What recovery found is on the disk. */
  recovered(point: RecoveryPoint | null): void {
    if (this.epochsAreBehind)
      this.markDirty(); // the recovery point moves when they are written
    else if (point !== null) this.movePoint(point);
  }

  /** Wants a round: at once, unless it `mayWait`. */
  markDirty(mayWait = false): void {
    if (this.closed) return;
    const { rounds } = this.shared;
    if (!this.dirty) rounds.markDirty(this, mayWait);
    else if (!mayWait) rounds.hurry();
    this.dirty = true;
  }

  beginJournal(): void {
    this.onItsWay = { bytes: this.log.endBytes, point: this.endOfWhatIsSynced() };
  }

  endJournal(): void {
    this.journaled = this.onItsWay;
    this.countJournaled();
  }

  loseJournal(): void {
    this.isInJournal = false;
    this.needsRound = true;
    this.markDirty();
  }

  private countJournaled(): void {
    const { journaled, log } = this;
    if (journaled === null || this.closed || this.needsRound || this.round.isNeeded) return;
    this.journaled = null;
    log.synced(Math.min(journaled.point.offset, log.logEndOffset), journaled.bytes, journaled.point);
  }

  /** No more rounds; files of one under way are let go at its end. One that is to come syncs nothing: the directory may have left its name. */
  close(): void {
    this.closed = true;
    this.forgetActive();
    for (const handle of this.pendingHandles.splice(0)) this.shared.files.letGo(handle);
    this.pendingPaths = [];
    this.pendingDirectories.clear();
    this.shared.files.retire(this.epochsFile);
  }

  beginRound(): RoundPart {
    const { round, log } = this;
    this.dirty = false;
    round.running = true;
    round.isNeeded = this.needsRound;
    this.needsRound = false;
    [round.staleSnapshots, this.staleSnapshots] = [this.staleSnapshots, round.staleSnapshots];
    round.epochs = this.writeEpochs();
    round.transactionsAreWritten = this.writeTransactions();
    if (this.syncsEverything) {
      if (this.appendedTo !== null) this.pendingHandles.push(this.appendedTo);
      if (this.appendedToPath !== null) this.pendingPaths.push(this.appendedToPath);
      this.appendedTo = null;
      this.appendedToPath = null;
    }
    [round.handles, this.pendingHandles] = [this.pendingHandles, round.handles];
    round.paths = this.pendingPaths.length === 0 ? NO_PATHS : this.pendingPaths.splice(0);
    round.files.length = 0;
    for (const handle of round.handles) round.files.push(handle.file);
    round.directories = this.pendingDirectories.size === 0 ? NO_PATHS : [...this.pendingDirectories];
    this.pendingDirectories.clear();
    round.endBytes = log.endBytes;
    round.point = this.endOfWhatIsSynced();
    return round;
  }

  endRound(): void {
    const { round } = this;
    round.running = false;
    round.isNeeded = false;
    for (const handle of round.handles) this.shared.files.letGo(handle);
    round.handles.length = 0;
    if (this.closed) return;
    for (const offset of round.staleSnapshots)
      this.attempt("an old producer snapshot", () => removeSnapshot(this.shared.disk, this.log.directory, offset));
    round.staleSnapshots.length = 0;
    if (round.epochs >= 0) this.publishEpochs(round.epochs);
    else if (round.transactionsAreWritten && !this.epochsAreBehind && !this.pendingDirectories.has(this.log.directory))
      this.movePoint(round.point);
    this.log.synced(Math.min(round.point.offset, this.log.logEndOffset), round.endBytes, round.point);
    this.countJournaled();
  }

  /** A page-cache log syncs finished segments only. */
  private endOfWhatIsSynced(): RecoveryPoint {
    const { active, logEndOffset } = this.log;
    if (active === undefined) return { offset: logEndOffset, segmentBaseOffset: logEndOffset, position: 0 };
    const segmentBaseOffset = active.baseOffset;
    if (!this.syncsEverything) return { offset: segmentBaseOffset, segmentBaseOffset, position: 0 };
    return { offset: logEndOffset, segmentBaseOffset, position: active.size };
  }

  private movePoint(point: RecoveryPoint): void {
    const { offset, segmentBaseOffset } = this.recoveryPoint;
    if (point.offset > this.log.logEndOffset) return; // the log was cut meanwhile
    if (point.offset < offset || (point.offset === offset && point.segmentBaseOffset === segmentBaseOffset)) return;
    this.recoveryPoint = point;
    this.shared.recoveryPoints.note(this);
  }

  /** Writes changed epochs beside their file, to be synced in the round that begins. */
  private writeEpochs(): number {
    const { leaderEpochs } = this.log;
    if (!this.epochsAreBehind || this.closed) return -1;
    const { changes } = leaderEpochs;
    const wrote = this.attempt("the leader epochs", () => {
      const file = this.shared.files.use(this.epochsFile, "create");
      file.truncate(0);
      file.write(leaderEpochs.encode(), 0);
      this.keep(this.shared.files.hold(this.epochsFile, "write"));
    });
    return wrote ? changes : -1;
  }

  /** Writes which transactions were aborted, to be synced in the round that begins. */
  private writeTransactions(): boolean {
    const { active, directory } = this.log;
    if (!this.syncsEverything || this.closed || active === undefined || !active.transactions.isDirty) return true;
    return this.attempt("the index of aborted transactions", () => {
      const { transactions } = active;
      transactions.flush();
      this.keep(this.shared.files.hold(transactions.file.openFile, "write"));
      if (!transactions.nameIsSynced) this.pendingDirectories.add(directory);
      transactions.nameIsSynced = true;
      transactions.isDirty = false;
    });
  }

  /** The file beside is synced: it takes the place of the old one, and the next round syncs the name. */
  private publishEpochs(changes: number): void {
    const { directory } = this.log;
    this.shared.files.retire(this.epochsFile);
    this.attempt("the leader epochs", () => {
      this.shared.disk.rename(this.epochsFile.path, `${directory}/${EPOCHS_FILE}`);
      this.epochsWritten = changes;
    });
    this.include([], [directory], true);
  }

  /** For what may fail without harm: it is logged, and done in a later round. */
  private attempt(what: string, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.shared.logger.warn(`${what} could not be written`, { log: this.log.name, error: error.message });
      return false;
    }
  }
}
