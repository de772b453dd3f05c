/** All tortures, in the order in which they take turns. */

import { full, kill, pause, power, torn } from "./crashes.ts";
import type { Torture } from "./torture.ts";

export const tortures: readonly Torture[] = [kill, pause, torn, power, full];
