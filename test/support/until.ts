/** Waiting in tests. */

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Thrown by a probe when waiting longer is of no use. */
export class GivenUp extends Error {}

/**
 * Asks `probe` again and again until it gives something other than undefined, null or false, and returns that.
 * Throws after `timeoutMs`, with what the last probe threw or with `what`.
 */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  { timeoutMs = 30_000, everyMs = 50 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<NonNullable<T>> {
  const deadlineMs = Date.now() + timeoutMs;
  let fault: unknown;
  while (Date.now() < deadlineMs) {
    try {
      const found = await probe();
      if (found !== undefined && found !== null && found !== false) return found;
      fault = undefined;
    } catch (error) {
      if (error instanceof GivenUp) throw error;
      fault = error;
    }
    await sleep(everyMs);
  }
  throw new Error(`waited ${timeoutMs} ms in vain: ${what}${fault ? ` (${fault})` : ""}`);
}
