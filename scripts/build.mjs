// `npm run build`: dist/quarkmq, one self-contained executable. Plain Node 20.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bun = join(root, "node_modules/.bin/bun");

/** The program, and the files that run as threads of their own: the bundler finds everything else from these. */
const entryPoints = ["src/cli/main.ts", "src/io/sync-worker.ts", "src/log/cleaner-worker.ts", "src/record/unpack-worker.ts"];

/**
 * Compiles the executable `outfile`, for this machine or for one of Bun's compile targets ("bun-linux-x64-musl", …).
 * `bytecode` brings the start from 22 ms to 9 ms; it is made by the JavaScript engine that runs here, so only for targets that can
 * be tried here. Throws when the compiler fails.
 */
export function compile({ outfile, target = null, bytecode = true, quiet = false }) {
  if (!existsSync(bun)) throw new Error("node_modules/.bin/bun is missing: run `npm ci` first");
  mkdirSync(dirname(outfile), { recursive: true });
  // The program may be running: it is replaced, never written into. Its name at birth stands in it, so that is always the same.
  const scratch = mkdtempSync(`${outfile}-`);
  const args = ["build", "--compile", "--minify", "--format=esm", `--outfile=${join(scratch, "quarkmq")}`];
  if (bytecode) args.push("--bytecode");
  if (target !== null) args.push(`--target=${target}`);
  try {
    const { status, error, stdout, stderr } = spawnSync(bun, [...args, ...entryPoints], { cwd: root, encoding: "utf8" });
    if (error || status !== 0) throw new Error(`the compiler failed: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
    renameSync(join(scratch, "quarkmq"), outfile);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (!quiet) console.error(`built ${outfile}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    compile({ outfile: join(root, "dist/quarkmq") });
  } catch (error) {
    console.error(`build: ${error.message}`);
    process.exit(1);
  }
}
