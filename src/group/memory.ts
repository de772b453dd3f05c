/**
 * What clients make the groups of a broker hold, against one bound. Estimates: what matters is that nothing a client can add is
 * free (base/memory-bound.ts).
 */

/** Beside the bytes and texts that they hold. */
export const GROUP_BYTES = 1000;
export const MEMBER_BYTES = 1000;
export const PENDING_BYTES = 500;
export const OFFSET_BYTES = 200;

/** Texts take up to two bytes a character. */
export const textBytes = (...texts: (string | null)[]): number => texts.reduce((sum, text) => sum + 2 * (text?.length ?? 0), 0);
