import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFilesLimit, volatileDirectory } from "./process-limits.ts";

test.skipIf(process.platform !== "linux")("the limit is the shell's", () => {
  const limit = Bun.spawnSync(["sh", "-c", `ulimit -n 64; exec "$0" "$@"`, process.execPath, "-e", SHOW]).stdout.toString();
  // the runtime may raise its soft limit up to the hard one, which this also lowered
  expect(limit.trim()).toBe("64");
});
const SHOW = `import { openFilesLimit } from "${import.meta.dir}/process-limits.ts"; console.log(openFilesLimit())`;

test("this process may open files", () => {
  if (process.platform === "linux") expect(openFilesLimit()).toBeGreaterThan(32);
});

test("a directory below the temp directory is volatile, whether it exists or not", () => {
  const directory = mkdtempSync(join(tmpdir(), "quarkmq-"));
  expect(volatileDirectory(directory)).not.toBeNull();
  expect(volatileDirectory(join(directory, "not", "yet"))).not.toBeNull();
  rmSync(directory, { recursive: true });
});

test.skipIf(!existsSync("/dev/shm"))("tmpfs is volatile", () => {
  expect(volatileDirectory("/dev/shm/quarkmq")).toBe("is in memory (tmpfs)");
});

test("other directories are not", () => {
  expect(volatileDirectory("/var/lib/quarkmq")).toBeNull();
});
