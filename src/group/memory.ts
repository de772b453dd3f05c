/**
 * What clients make the groups of a broker hold, against one bound. Estimates: what matters is that nothing a client can add is
 * free. Shared by all shards, so to each it is an input, as the clock is.
 */

/** Beside the bytes and texts that they hold. */
export const GROUP_BYTES = 1000;
export const MEMBER_BYTES = 1000;
export const PENDING_BYTES = 500;
export const OFFSET_BYTES = 200;

export class GroupMemory {
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

/** Texts take up to two bytes a character. */
export const textBytes = (...texts: (string | null)[]): number => texts.reduce((sum, text) => sum + 2 * (text?.length ?? 0), 0);
