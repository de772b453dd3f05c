// `npm run bench -- --profile ROW`: where the CPU of the running program goes. Two profilers look at once: Bun's own (functions of ours,
// by self time) and, where it is installed, Linux perf (the runtime and the kernel, by symbol). The program is compiled as for a
// release, but with its names (no --minify); durability is the page cache unless --peers says quarkmq-durable.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "./admin.mjs";
import { Context } from "./context.mjs";
import { root, scratch } from "./needs.mjs";
import { Peer } from "./peers.mjs";

const SHAPES = {
  produce: { producers: 16, recordBytes: 1024 },
  "produce-small": { producers: 16, recordBytes: 100, batchBytes: 1024 },
  "produce-large": { producers: 16, batchBytes: 262_144, partitions: 1 },
  "produce-spread": { producers: 16, recordBytes: 1024, partitions: 1000 },
  consume: { producers: 0, consumers: 16, again: true },
  "consume-spread": { producers: 0, consumers: 16, again: true, partitions: 1000 },
  latency: { producers: 1, consumers: 1, rate: 10_000, recordBytes: 1024 },
  mixed: { producers: 8, consumers: 8, recordBytes: 1024 },
};
const SECONDS = 8;
const SHOWN = 40;
/** A gap between two samples that is longer is time without work: the profiler gives it to what came after. */
const IDLE_US = 10_000;

function compileWithNames(outfile) {
  const args = [
    "build",
    "--compile",
    "--format=esm",
    "--bytecode",
    `--outfile=${outfile}`,
    "src/cli/main.ts",
    "src/io/sync-worker.ts",
    "src/log/cleaner-worker.ts",
  ];
  const { status, stderr } = spawnSync(join(root, "node_modules/.bin/bun"), args, { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`the compiler failed: ${stderr}`);
}

/** Self time by function of a .cpuprofile, in percent. What the runtime does for us is named with the function of ours that asked. */
function selfTimes(path) {
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(path, "utf8"));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node])));
  const isOurs = ({ callFrame: f }) => f.url !== "" && f.lineNumber > 0;
  const nameOf = (node) => {
    const { functionName, lineNumber } = node.callFrame;
    if (isOurs(node)) return `${functionName || "(anonymous)"} :${lineNumber + 1}`;
    let caller = parents.get(node.id);
    while (caller && !isOurs(caller)) caller = parents.get(caller.id);
    return `${functionName || "(program)"} (for ${caller ? caller.callFrame.functionName : "nobody of ours"})`;
  };
  const times = new Map();
  let all = 0;
  samples.forEach((id, i) => {
    if (timeDeltas[i] > IDLE_US) return;
    const name = nameOf(byId.get(id));
    times.set(name, (times.get(name) ?? 0) + timeDeltas[i]);
    all += timeDeltas[i];
  });
  return [...times].map(([name, time]) => [(time / all) * 100, name]).sort((a, b) => b[0] - a[0]);
}

const print = (title, lines) => {
  console.log(`\n## ${title}\n`);
  for (const [percent, name] of lines.slice(0, SHOWN)) console.log(`${percent.toFixed(1).padStart(6)} %  ${name}`);
};

/** perf's report of a recording, as [percent, text]. */
function perfReport(data, sort, children = "--no-children") {
  const args = ["report", "-i", data, "--stdio", children, "-g", "none", "--sort", sort, "--percent-limit", "0.3"];
  const { stdout } = spawnSync("perf", args, { encoding: "utf8", maxBuffer: 64 << 20 });
  return stdout
    .split("\n")
    .map((line) => /^\s+([\d.]+)%\s+(.*?)\s*$/.exec(line))
    .filter((found) => found !== null)
    .map(([, percent, name]) => [Number(percent), name.replace(/\s+/g, " ").replace(/( -)+$/, "")]);
}

/** Runs one load and prints both profiles; the raw files stay in .cache/bench/profile. */
export async function profile(what, { sizes, heap, peers, seconds }) {
  const shape = SHAPES[what];
  if (!shape) throw new Error(`--profile is one of ${Object.keys(SHAPES).join(", ")}`);
  const durationMs = (seconds ? Number(seconds) : SECONDS) * 1000;
  const folder = join(scratch, "profile");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const named = join(scratch, "quarkmq-with-names");
  compileWithNames(named);
  const peer = new Peer(peers.length === 1 ? peers[0] : "quarkmq-page-cache", { heap });
  await peer.prepare();
  peer.command[0] = named;
  try {
    await peer.start({ BUN_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` });
    const context = new Context(peer, { ...sizes, durationMs });
    const { partitions = 4, producers } = shape;
    const topic = producers === 0 ? await context.filledTopic(partitions, 1024) : await context.topic(partitions);
    await context.load(topic, { ...shape, durationMs: 2000 });
    const data = join(folder, "perf.data");
    const perf = spawn("perf", ["record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-o", data, "-p", String(peer.pid)], {
      stdio: "ignore",
    });
    const hasPerf = await new Promise((done) => perf.on("spawn", () => done(true)).on("error", () => done(false)));
    const r = await context.load(topic, { ...shape, warmupMs: 100 });
    if (hasPerf) {
      perf.kill("SIGINT");
      await new Promise((done) => perf.on("close", done));
    }
    await peer.end();
    await sleep(100);
    console.log(
      `# ${what}: ${((r.bytesIn + r.bytesOut) / 1e6 / r.seconds).toFixed(0)} MB/s, CPU ${r.cpuUserS} s user and ${r.cpuSystemS} s system in ${r.seconds} s`,
    );
    const [own] = readdirSync(folder).filter((name) => name.endsWith(".cpuprofile"));
    if (own) print("Our functions, self time while the main thread was not idle (Bun's profiler)", selfTimes(join(folder, own)));
    if (!hasPerf) return console.log("\nperf is not installed: no view of the runtime and the kernel");
    print("By module and thread (perf)", perfReport(data, "comm,dso"));
    const ways = perfReport(data, "symbol", "--children").filter(([, name]) =>
      /__x64_sys_|__arm64_sys_|exc_page_fault|do_softirq/.test(name),
    );
    print("By way into the kernel (perf, with all that they call)", ways);
    print("By symbol (perf; code made at run time has no names here)", perfReport(data, "dso,symbol"));
  } finally {
    await peer.destroy();
  }
}
