/** Small files and lines outside the data directory: the configuration, and what the broker says about itself. */
import { readFileSync, writeSync } from "node:fs";

/** The text of a file, or null when it is missing. Throws an Error that says why it cannot be read. */
export function readTextFile(path: string): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT") return null;
    throw new Error(`cannot be read: ${reasons[code ?? ""] ?? (error instanceof TypeError ? "it is not UTF-8 text" : code)}`);
  }
}

const reasons: Record<string, string> = {
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
};

/** Writes a whole text to standard output (1) or standard error (2) before it returns. Where nobody reads any more it is dropped. */
export function writeText(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text);
  let done = 0;
  for (let stalls = 0; done < bytes.length && stalls < 100; ) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      if ((error as { code?: string }).code !== "EAGAIN") return; // EPIPE, EBADF: there is no reader
      stalls++; // a non-blocking pipe that is full: give its reader a moment, but never stop the broker for it
      Bun.sleepSync(1);
    }
  }
}
