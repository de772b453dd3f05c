// `npm start [-- OPTIONS]`: installs and builds what is missing or stale, then runs the broker. Plain Node 20, as any user.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compile } from "./build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "dist/quarkmq");

if (Number(process.versions.node.split(".")[0]) < 20) fail(`Node 20 or newer is needed; this is ${process.version}`);

function fail(message) {
  console.error(`npm start: ${message}`);
  process.exit(1);
}

/** Whether node_modules holds what package-lock.json asks for; npm writes down what it installed. */
function isInstalled() {
  const installed = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installed) || !existsSync(join(root, "node_modules/.bin/bun"))) return false;
  const { packages: have } = JSON.parse(readFileSync(installed, "utf8"));
  const { packages: want } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.entries(want).every(
    ([path, { version, optional }]) => path === "" || (have[path] ? have[path].version === version : optional),
  );
}

/** The newest change of everything that goes into the program, in milliseconds since the epoch. */
function newestSource() {
  let newest = 0;
  const look = (path) => {
    const { mtimeMs } = statSync(path);
    if (mtimeMs > newest) newest = mtimeMs;
  };
  for (const name of ["package.json", "package-lock.json", "scripts/build.mjs"]) look(join(root, name));
  for (const entry of readdirSync(join(root, "src"), { recursive: true, withFileTypes: true }))
    if (entry.isFile() && /\.(ts|json)$/.test(entry.name) && !entry.name.endsWith(".test.ts"))
      look(join(entry.parentPath ?? entry.path, entry.name));
  return newest;
}

const isBuilt = () => existsSync(program) && statSync(program).mtimeMs >= newestSource();

if (!isBuilt()) {
  if (!isInstalled()) {
    console.error("npm start: installing what the build needs");
    const { status, error } = spawnSync("npm", ["ci", "--include=dev"], { cwd: root, stdio: ["ignore", 2, 2] });
    if (error || status !== 0) fail(`npm ci failed${error ? `: ${error.message}` : ""}`);
  }
  try {
    compile({ outfile: program });
  } catch (error) {
    fail(error.message);
  }
}

// npm and this process only wait for the broker. It may get a signal twice, from the terminal and from here; it counts once.
const broker = spawn(program, process.argv.slice(2), { cwd: process.env.INIT_CWD ?? process.cwd(), stdio: "inherit" });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => broker.kill(signal));
broker.on("error", (error) => fail(`${program} does not start: ${error.message}`));
broker.on("exit", (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
