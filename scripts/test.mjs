// `npm test`: installs what is missing, builds, runs every part of the suite within its budget, and ends with one line that counts.
//
//   node scripts/test.mjs                     everything
//   node scripts/test.mjs PART... [-- FILTER] some parts, and of those only the files whose path contains FILTER
//
// Parts: check, house, unit, golden, sim, e2e, torture. Plain Node 20: Bun is installed by this.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const results = join(root, ".cache/results");
const bin = (name) => join(root, "node_modules/.bin", name);
const againstKafka = process.env.QUARKMQ_E2E_TARGET === "kafka";

/** The parts in the order in which they run. Budgets in minutes for the whole part: several times what a quiet machine with two cores takes. */
const parts = {
  check: { minutes: 4 },
  house: { minutes: 2, path: "test/house.test.ts", testTimeoutMs: 20_000 },
  unit: { minutes: 8, path: "src", testTimeoutMs: 20_000 },
  golden: { minutes: 4, path: "test/golden", testTimeoutMs: 30_000 },
  sim: { minutes: 15, path: "test/sim", testTimeoutMs: 180_000 },
  // Its files mostly wait (for timeouts of sessions, for JVMs to start): two at a time.
  e2e: { minutes: 25, path: "test/e2e", testTimeoutMs: 180_000, filePerProcess: true, lanes: 2, needs: true },
  torture: { minutes: 8, path: "test/torture", testTimeoutMs: 120_000, needs: true },
};

/** Every test that ran: { name, outcome: "passed" | "failed" | "skipped" }. */
const tally = [];
const note = (name, outcome, detail = "") => tally.push({ name, outcome, detail });

const children = new Set();
function endAll() {
  for (const child of children) killGroup(child);
}
function killGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // it has ended
  }
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    endAll();
    process.exit(1);
  });
}
process.on("exit", endAll);

/**
 * Runs a command as a process group of its own, which is killed at `deadlineMs`. Resolves to its exit code and whether it was
 * late. Its output is passed on as it comes, or at the end in one piece when `buffered`.
 */
function execute(command, args, { deadlineMs, buffered = false, env = {} }) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.add(child);
    const held = [];
    const take = (chunk) => (buffered ? held.push(chunk) : process.stdout.write(chunk));
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    let late = false;
    const timer = setTimeout(
      () => {
        late = true;
        killGroup(child);
      },
      Math.max(0, deadlineMs - Date.now()),
    );
    let error;
    child.on("error", (e) => {
      error = e;
    });
    child.on("close", (code) => {
      clearTimeout(timer);
      killGroup(child); // whatever it left behind
      children.delete(child);
      for (const chunk of held) process.stdout.write(chunk);
      if (error) console.log(String(error));
      done({ code: code ?? 1, late });
    });
  });
}

/** A step that is one test: passed when the command ends with 0. */
async function step(name, command, args, options) {
  console.log(`\n== ${name}`);
  const { code, late } = await execute(command, args, options);
  note(name, code === 0 ? "passed" : "failed", late ? "over its budget" : `exit code ${code}`);
  return code === 0;
}

function testFiles(path) {
  const at = join(root, path);
  if (!existsSync(at)) return [];
  if (path.endsWith(".ts")) return [path];
  return readdirSync(at, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => relative(root, join(at, name)))
    .sort();
}

/** The test cases of bun's JUnit file. */
function junitCases(path) {
  if (!existsSync(path)) return null;
  const text = (s) =>
    s
      .replace(/&lt;/g, "<")
      .replace(/&gt;/g, ">")
      .replace(/&quot;/g, '"')
      .replace(/&apos;/g, "'")
      .replace(/&amp;/g, "&");
  const cases = [];
  for (const [, attributes, , body] of readFileSync(path, "utf8").matchAll(/<testcase\b([^>]*?)(\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const get = (name) => text(new RegExp(`\\b${name}="([^"]*)"`).exec(attributes)?.[1] ?? "");
    const outcome = /<(failure|error)\b/.test(body ?? "") ? "failed" : /<skipped\b/.test(body ?? "") ? "skipped" : "passed";
    const group = get("classname");
    cases.push({ name: `${get("file")} > ${group && group !== get("name") ? `${group} > ` : ""}${get("name")}`, outcome });
  }
  return cases;
}

let runs = 0;

/** Runs bun test over `files` in one process and counts its cases. */
async function bunTest(label, files, part, deadlineMs, buffered) {
  const startMs = Date.now();
  const report = join(results, `${++runs}.xml`);
  const args = ["test", "--timeout", String(part.testTimeoutMs), "--reporter=junit", `--reporter-outfile=${report}`];
  const { code, late } = await execute(bin("bun"), [...args, ...files.map((f) => `./${f}`)], { deadlineMs, buffered });
  const cases = junitCases(report) ?? [];
  for (const { name, outcome } of cases) note(name, outcome);
  if (late) note(`${label}: over its budget of ${part.minutes} minutes`, "failed");
  else if (cases.length === 0 && !(againstKafka && code === 0)) note(`${label}: ran no test`, "failed", `exit code ${code}`);
  else if (code !== 0 && !cases.some((c) => c.outcome === "failed")) note(`${label}: exit code ${code}`, "failed");
  console.log(`-- ${label}: ${cases.length} tests in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
}

async function runTests(name, part, filter) {
  const files = testFiles(part.path).filter((f) => f.includes(filter));
  if (files.length === 0) {
    if (filter === "") note(`${name}: no test files in ${part.path}`, "failed");
    return;
  }
  console.log(`\n== ${name}`);
  const deadlineMs = Date.now() + part.minutes * 60_000;
  if (!part.filePerProcess) return bunTest(name, files, part, deadlineMs, false);
  const queue = inOrder(files);
  const lane = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      if (Date.now() > deadlineMs) note(`${file}: not begun within the budget of ${part.minutes} minutes`, "failed");
      else await bunTest(file, [file], part, deadlineMs, part.lanes > 1);
    }
  };
  await Promise.all(Array.from({ length: part.lanes }, lane));
}

/** Long files first, so that the lanes end together. */
function inOrder(files) {
  const long = ["java", "platformatic", "kafkajs", "kcat", "librdkafka", "franz-go", "quick-start"];
  const rank = (file) => {
    const at = long.findIndex((name) => file.endsWith(`/${name}.test.ts`));
    return at < 0 ? long.length : at;
  };
  return [...files].sort((a, b) => rank(a) - rank(b));
}

/** Installs the project's own packages when what is there is not what the lock file says. */
function ownPackages() {
  const read = (path) => (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : {});
  const wanted = read(join(root, "package-lock.json"));
  const there = read(join(root, "node_modules/.package-lock.json"));
  const stale = Object.entries(wanted).some(([path, p]) => path !== "" && !p.optional && there[path]?.version !== p.version);
  if (!stale && existsSync(bin("bun"))) return;
  console.log("== npm ci");
  const { status } = spawnSync("npm", ["ci", "--include=dev", "--no-fund", "--no-audit"], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error("npm ci failed");
}

/** Removes what runs that were ended hard left behind; not what another run may be using now. */
function clearOldData() {
  const data = join(root, ".cache/data");
  if (!existsSync(data)) return;
  for (const name of readdirSync(data)) {
    const path = join(data, name);
    if (statSync(path).mtimeMs > Date.now() - 3_600_000) continue;
    try {
      rmSync(path, { recursive: true, force: true });
    } catch (error) {
      console.log(`cannot remove ${path}: ${error.message}`); // a file system that is still mounted there
    }
  }
}

/** Turns skips without a reason in test/skips.json into failures, prints what failed, and the closing line. */
function close() {
  const reasons = JSON.parse(readFileSync(join(root, "test/skips.json"), "utf8"));
  const skipped = tally.filter((t) => t.outcome === "skipped");
  for (const t of skipped) {
    if (reasons[t.name] === undefined)
      Object.assign(t, { outcome: "failed", detail: "skipped without a reason in test/skips.json" });
    else console.log(`skipped: ${t.name}: ${reasons[t.name]}`);
  }
  const count = (outcome) => tally.filter((t) => t.outcome === outcome).length;
  console.log("");
  for (const t of tally) if (t.outcome === "failed") console.log(`failed: ${t.name}${t.detail ? ` (${t.detail})` : ""}`);
  if (tally.length === 0) note("no test ran", "failed");
  console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
  process.exitCode = count("failed") === 0 ? 0 : 1;
}

async function main() {
  const split = process.argv.indexOf("--");
  const chosen = process.argv.slice(2, split < 0 ? undefined : split);
  const filter = split < 0 ? "" : (process.argv[split + 1] ?? "");
  const unknown = chosen.filter((name) => !(name in parts));
  if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(" ")}; there are ${Object.keys(parts).join(" ")}`);
  const names = chosen.length === 0 ? Object.keys(parts) : Object.keys(parts).filter((name) => chosen.includes(name));

  ownPackages();
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });
  const endToEnd = names.some((name) => parts[name].needs);
  if (endToEnd) clearOldData();
  if (names.includes("e2e")) (await import("../test/support/install.mjs")).installTestNeeds();
  // A broken build fails its own test and leaves the end-to-end part out; everything else still runs.
  const build = { deadlineMs: Date.now() + 3 * 60_000 };
  const built = !endToEnd || againstKafka || (await step("npm run build", "npm", ["run", "--silent", "build"], build));
  for (const name of names) {
    const part = parts[name];
    if (name === "check") {
      const deadlineMs = Date.now() + part.minutes * 60_000;
      await step("biome check", bin("biome"), ["check", "."], { deadlineMs });
      await step("tsc --noEmit", bin("tsc"), ["--noEmit"], { deadlineMs });
    } else if (!part.needs || built) await runTests(name, part, filter);
    else note(`${name}: there is no binary to test`, "failed");
  }
}

try {
  await main();
} catch (error) {
  console.error(String(error?.message ?? error));
  note("the test run itself", "failed");
}
close();
