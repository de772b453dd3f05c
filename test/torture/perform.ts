/** One run of a torture, with everything removed that it made. */

import type { Run, Torture } from "./torture.ts";

export async function perform(torture: Torture, options: Omit<Run, "cleanUp">): Promise<string> {
  const work: (() => Promise<unknown>)[] = [];
  try {
    return await torture.run({ ...options, cleanUp: (one) => work.push(one) });
  } finally {
    for (const one of work.reverse()) await one();
  }
}
