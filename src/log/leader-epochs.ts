/** Which leader epoch began at which offset of a partition, and its checkpoint file's text. Source: LeaderEpochFileCache (KIP-101), LeaderEpochCheckpointFile. */

const CHECKPOINT_VERSION = 0;

export interface EpochEntry {
  readonly epoch: number;
  readonly startOffset: number;
}

/** An epoch and where it ends; both -1 when unknown. */
export interface EpochEnd {
  readonly epoch: number;
  readonly endOffset: number;
}

const UNKNOWN: EpochEnd = { epoch: -1, endOffset: -1 };

export class LeaderEpochs {
  /** By ascending epoch and start offset. */
  private list: EpochEntry[] = [];
  /** Grows with every change: what is on disk is behind while its own count is smaller. */
  changes = 0;

  get entries(): readonly EpochEntry[] {
    return this.list;
  }

  /** The newest epoch, -1 when none is known. */
  get latest(): number {
    return this.list.at(-1)?.epoch ?? -1;
  }

  /** The oldest entry that is known. */
  get earliest(): EpochEntry | null {
    return this.list[0] ?? null;
  }

  /** Records that `epoch` begins at `startOffset`; does nothing if it is the latest one already. Entries that contradict it go. */
  assign(epoch: number, startOffset: number): void {
    const last = this.list.at(-1);
    if (last !== undefined && last.epoch === epoch && startOffset >= last.startOffset) return;
    while (this.list.length > 0 && (this.list.at(-1)!.epoch >= epoch || this.list.at(-1)!.startOffset >= startOffset))
      this.list.pop();
    this.list.push({ epoch, startOffset });
    this.changes++;
  }

  /** Where the largest known epoch at or below `epoch` ends; the log end for the latest one. LeaderEpochFileCache.endOffsetFor. */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEnd {
    if (epoch === -1) return UNKNOWN;
    if (epoch === this.latest) return { epoch, endOffset: logEndOffset };
    const higher = this.list.findIndex((entry) => entry.epoch > epoch);
    if (higher < 0) return UNKNOWN;
    const endOffset = this.list[higher]!.startOffset;
    return { epoch: higher === 0 ? epoch : this.list[higher - 1]!.epoch, endOffset };
  }

  /** The epoch that `offset` was written in, -1 when unknown. */
  epochForOffset(offset: number): number {
    let epoch = -1;
    for (const entry of this.list) {
      if (entry.startOffset > offset) break;
      epoch = entry.epoch;
    }
    return epoch;
  }

  /** Forgets epochs that begin at or after `endOffset`. */
  truncateFromEnd(endOffset: number): void {
    const before = this.list.length;
    while (this.list.length > 0 && this.list.at(-1)!.startOffset >= endOffset) this.list.pop();
    if (this.list.length !== before) this.changes++;
  }

  /** Forgets epochs that ended before `startOffset`; the one that covers it begins there now. */
  truncateFromStart(startOffset: number): void {
    const covering = this.list.findLastIndex((entry) => entry.startOffset <= startOffset);
    if (covering < 0 || (covering === 0 && this.list[0]!.startOffset === startOffset)) return;
    this.list.splice(0, covering + 1, { epoch: this.list[covering]!.epoch, startOffset });
    this.changes++;
  }

  clear(): void {
    if (this.list.length > 0) this.changes++;
    this.list = [];
  }

  /** The checkpoint file's text: version, count, and one "epoch startOffset" a line. */
  encode(): Buffer {
    const lines = [`${CHECKPOINT_VERSION}`, `${this.list.length}`];
    for (const { epoch, startOffset } of this.list) lines.push(`${epoch} ${startOffset}`);
    return Buffer.from(`${lines.join("\n")}\n`, "latin1");
  }

  /** Takes over a checkpoint's entries. False, and no change, if the text is not a whole checkpoint: then the log itself must tell. */
  load(bytes: Uint8Array): boolean {
    const lines = Buffer.from(bytes).toString("latin1").split(/\r?\n/);
    if (lines.pop() !== "" || lines[0] !== `${CHECKPOINT_VERSION}` || Number(lines[1]) !== lines.length - 2) return false;
    const loaded: EpochEntry[] = [];
    for (const line of lines.slice(2)) {
      const match = /^(\d{1,10})\s+(\d{1,16})$/.exec(line);
      if (match === null) return false;
      const entry = { epoch: Number(match[1]), startOffset: Number(match[2]) };
      const last = loaded.at(-1);
      if (last !== undefined && (entry.epoch <= last.epoch || entry.startOffset < last.startOffset)) return false;
      loaded.push(entry);
    }
    this.list = loaded;
    return true;
  }
}
