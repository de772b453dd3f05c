/** A broken promise of our own code. The process logs it and exits; a supervisor restarts it and recovery runs. */
export class BrokenInvariant extends Error {
  override name = "BrokenInvariant";
}

/** Checks an invariant of ours, in production too. Never use it on bytes or values that came from outside. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new BrokenInvariant(message);
}
