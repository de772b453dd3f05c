// `npm run torture -- --minutes N [--only NAME,NAME] [--seed S] [--cycles C]`: breaks the compiled broker on purpose, again and again,
// and reads everything back (test/torture). Builds what is missing; QUARKMQ_E2E_BINARY names another binary. Plain Node 20.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const bun = join(root, "node_modules/.bin/bun");

function must(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (error || status !== 0) {
    console.error(`npm run torture: ${command} ${args.join(" ")}: ${error?.message ?? `exit code ${status}`}`);
    process.exit(1);
  }
}

if (!existsSync(bun)) must("npm", ["ci", "--include=dev", "--no-fund", "--no-audit"]);
if (!process.env.QUARKMQ_E2E_BINARY) must("npm", ["run", "--silent", "build"]);
const { status } = spawnSync(bun, [join(root, "test/torture/main.ts"), ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
process.exit(status ?? 1);
