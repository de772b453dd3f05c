/** What the machine gives the process: how many files it may open, and what kind of file system the data lies on. */
import { existsSync, readFileSync, realpathSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, resolve, sep } from "node:path";

/** How many files and sockets the process may have open at a time; null where that cannot be told. */
export function openFilesLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1];
    if (soft === undefined) return null;
    return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return null; // not Linux
  }
}

/** statfs(2)'s f_type of file systems that live in memory: tmpfs, ramfs. */
const MEMORY_FILE_SYSTEMS = new Set([0x01021994, 0x858458f6]);

/**
 * Why what is kept at `path` may be gone after the next start of the machine, as a phrase for a warning, or null. The path need
 * not exist yet; its nearest existing parent decides.
 */
export function volatileDirectory(path: string): string | null {
  let existing = resolve(path);
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  const real = realpathSync(existing);
  if (process.platform === "linux" && MEMORY_FILE_SYSTEMS.has(statfsSync(real).type >>> 0)) return "is in memory (tmpfs)";
  const isBelow = (directory: string) => real === directory || real.startsWith(directory + sep);
  for (const directory of new Set(["/tmp", tmpdir()]))
    if (existsSync(directory) && isBelow(realpathSync(directory))) return `is below ${directory}, which systems empty`;
  return null;
}
