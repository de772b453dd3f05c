/** All tortures, in the order in which they take turns. */

import { failing, full, kill, pause, power, torn } from "./crashes.ts";
import { damaged } from "./damage.ts";
import { crowd, deaf, fuzz, large, loris } from "./hostile.ts";
import { syscalls } from "./syscalls.ts";
import type { Torture } from "./torture.ts";

export const tortures: readonly Torture[] = [
  kill,
  pause,
  torn,
  power,
  failing,
  full,
  damaged,
  syscalls,
  fuzz,
  large,
  loris,
  deaf,
  crowd,
];
