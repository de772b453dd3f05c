/**
 * The sparse index from offsets to positions in a segment's file. Format (Kafka's OffsetIndex): entries of
 * `lastOffset - baseOffset int32 | position int32`, where the position is that of the batch whose last offset is meant; both ascend.
 */
import { IndexFile } from "./index-file.ts";
import type { OpenFile, OpenFiles } from "./open-files.ts";

export const OFFSET_ENTRY_BYTES = 8;

/** A batch's place: its last offset, and where it begins in the file. */
export interface OffsetPosition {
  readonly offset: number;
  readonly position: number;
}

export class OffsetIndex {
  readonly file: IndexFile;
  private readonly baseOffset: number;

  /** `entries`: how many entries of the file to believe; see IndexFile. */
  constructor(files: OpenFiles, openFile: OpenFile, baseOffset: number, entries: number, fileIsExact: boolean) {
    this.file = new IndexFile(files, openFile, OFFSET_ENTRY_BYTES, entries, fileIsExact);
    this.baseOffset = baseOffset;
  }

  /** Adds a batch; its last offset and its position must be above those of the entry before. */
  append(lastOffset: number, position: number): void {
    const at = this.file.push();
    this.file.tailBytes.writeInt32BE(lastOffset - this.baseOffset, at);
    this.file.tailBytes.writeInt32BE(position, at + 4);
  }

  /** The last entry at or below `offset`; the segment's beginning when there is none. Scan on from its position. */
  lookUp(offset: number): OffsetPosition | Promise<OffsetPosition> {
    const relative = offset - this.baseOffset;
    return this.file.search(
      (entries, at) => entries.readInt32BE(at) <= relative,
      (entries, at) => this.parse(entries, at),
    );
  }

  /** As `lookUp`, but null when pages are cold. */
  lookUpHot(offset: number): OffsetPosition | null {
    const relative = offset - this.baseOffset;
    return this.file.searchHot(
      (entries, at) => entries.readInt32BE(at) <= relative,
      (entries, at) => this.parse(entries, at),
    );
  }

  /** The last position at or before `position` where a batch begins, as far as the index knows and is in memory; 0 when it does not. */
  positionAtOrBefore(position: number): number {
    const entry = this.file.searchHot(
      (entries, at) => entries.readInt32BE(at + 4) <= position,
      (entries, at) => this.parse(entries, at),
    );
    return entry === null ? 0 : entry.position;
  }

  /** Entry `n`, counted from 0; blocking. */
  entry(n: number): OffsetPosition {
    return this.file.entryAt(n, (entries, at) => this.parse(entries, at));
  }

  private parse(entries: Buffer, at: number): OffsetPosition {
    if (at < 0) return { offset: this.baseOffset, position: 0 };
    return { offset: this.baseOffset + entries.readInt32BE(at), position: entries.readInt32BE(at + 4) };
  }
}
