/** One bound on what clients make a coordinator hold. Shared by all its shards, so to each it is an input, as the clock is. */
export class MemoryBound {
  readonly limitBytes: number;
  heldBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Asked before something is added. What is in the log already is always taken, over the limit too. */
  hasRoomFor(bytes: number): boolean {
    return bytes <= 0 || this.heldBytes + bytes <= this.limitBytes;
  }
}
