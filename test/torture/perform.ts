/** One run of a torture, with everything removed that it made: also when it is interrupted. */

import type { Run, Torture } from "./torture.ts";

const work: (() => Promise<unknown>)[] = [];

let cleaning = Promise.resolve();
let interrupted = false;

/** Resolves once everything is gone, whoever began with it. */
function cleanUp(): Promise<void> {
  cleaning = cleaning.then(async () => {
    for (const one of work.splice(0).reverse()) await one();
  });
  return cleaning;
}

/** Runs it to its end. Rejects with what it found. */
export async function perform(torture: Torture, options: Omit<Run, "cleanUp">): Promise<string> {
  try {
    return await torture.run({ ...options, cleanUp: (one) => work.push(one) });
  } finally {
    await cleanUp();
    if (interrupted) await new Promise(() => {}); // the process ends; what failed for it is no finding
  }
}

/** For a process that is told to end: mounts and brokers go with it. */
export function cleanUpOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.once(signal, () => {
      interrupted = true;
      void cleanUp().finally(() => process.exit(1));
    });
}
