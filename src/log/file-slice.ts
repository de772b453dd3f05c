/** A part of a segment's file that an answer will bring: read when the client's socket has room for it. */
import type { StoredBytes } from "../bytes/chunks.ts";
import type { Handle, OpenFiles } from "./open-files.ts";

/** The log, as far as it tells that it was cut. */
export interface CutCount {
  readonly cuts: number;
}

/** Whole, checked batches. The file stays open until `release`, also when its segment is removed or replaced meanwhile. Once the log was cut, nothing is read any more. */
export class FileSlice implements StoredBytes {
  readonly byteLength: number;
  private readonly log: CutCount;
  private readonly cuts: number;
  private readonly files: OpenFiles;
  private readonly handle: Handle;
  private readonly position: number;

  /** Takes over the handle, which was borrowed. */
  constructor(log: CutCount, files: OpenFiles, handle: Handle, position: number, bytes: number) {
    this.log = log;
    this.cuts = log.cuts;
    this.files = files;
    this.handle = handle;
    this.position = position;
    this.byteLength = bytes;
  }

  readHot(into: Uint8Array, at: number): number {
    return this.log.cuts === this.cuts ? this.handle.file.readHot(into, this.position + at) : -1;
  }

  sendHot(socket: number, at: number, length: number): number {
    return this.log.cuts === this.cuts ? this.handle.file.sendHot(socket, this.position + at, length) : -1;
  }

  async readCold(into: Uint8Array, at: number): Promise<number> {
    const got = await this.handle.file.readCold(into, this.position + at);
    return this.log.cuts === this.cuts ? got : 0;
  }

  release(): void {
    this.files.giveBack(this.handle);
  }
}
