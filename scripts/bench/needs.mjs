// What the benchmark needs beside the tests' own things: Kafka's jars (test/support), a C compiler, librdkafka's headers, and the C
// programs of native/, compiled once per change. Debian packages are installed when this runs as root; otherwise it names them.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

export const root = resolve(import.meta.dirname, "../..");
export const cache = process.env.QUARKMQ_TEST_CACHE ?? join(root, ".cache");
export const scratch = join(cache, "bench");
export const kafkaSupport = join(root, "test/support/kafka");
export const kafkaLibs = join(cache, "kafka/libs");
export const binary = process.env.QUARKMQ_BENCH_BINARY ?? join(root, "dist/quarkmq");

/** Flags of all C programs; the report states them. */
export const C_FLAGS = ["-O2", "-march=native", "-std=gnu11", "-Wall", "-Wextra"];

const native = join(import.meta.dirname, "native");
const programs = { load: [], reference: [], "first-ack": [], librdkafka: ["-lrdkafka", "-lpthread"] };

/** Where a compiled C program is. */
export const program = (name) => join(scratch, name);

function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 << 20, ...options });
  if (error || status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error ?? `exit code ${status}`}\n${stdout}${stderr}`);
  return stdout;
}

const works = (command, args) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

function debianPackages() {
  const missing = [];
  if (!works("gcc", ["--version"])) missing.push("gcc", "libc6-dev");
  if (!existsSync("/usr/include/librdkafka/rdkafka.h")) missing.push("librdkafka-dev");
  if (missing.length === 0) return;
  const command = ["install", "-y", "--no-install-recommends", ...missing];
  if (process.getuid() !== 0 || !works("apt-get", ["--version"]))
    throw new Error(
      `the benchmark needs packages that are not installed. As root:\n  apt-get update && apt-get ${command.join(" ")}`,
    );
  console.error(`bench needs: apt-get ${command.join(" ")} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-q"], { env });
  run("apt-get", command, { env });
}

function compilePrograms() {
  const newestSource = Math.max(...readdirSync(native).map((name) => statSync(join(native, name)).mtimeMs));
  for (const [name, libraries] of Object.entries(programs)) {
    const at = program(name);
    if (existsSync(at) && statSync(at).mtimeMs >= newestSource) continue;
    run("gcc", [...C_FLAGS, "-o", `${at}.new`, join(native, `${name}.c`), ...libraries]);
    renameSync(`${at}.new`, at);
  }
}

/** Installs and builds everything; throws with a message for people. */
export async function installBenchNeeds() {
  mkdirSync(scratch, { recursive: true });
  if (!existsSync(kafkaLibs) || !works("java", ["-version"])) {
    const { installTestNeeds } = await import(pathToFileURL(join(root, "test/support/install.mjs")).href);
    installTestNeeds();
  }
  debianPackages();
  compilePrograms();
  if (!existsSync(binary)) {
    const { compile } = await import(pathToFileURL(join(root, "scripts/build.mjs")).href);
    compile({ outfile: binary });
  }
}

/** The machine and the versions, for the report. */
export function environment() {
  const cpu = /model name\s*:\s*(.*)/.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
  const cores = Number(run("nproc", []).trim());
  const memoryGib = Number(/MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))[1]) / 2 ** 20;
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).stdout.trim();
  const java = spawnSync("java", ["-version"], { encoding: "utf8" }).stderr.split("\n")[0];
  const gcc = run("gcc", ["--version"]).split("\n")[0];
  const kafka = readdirSync(kafkaLibs).find((name) => /^kafka_2/.test(name));
  const disk = run("df", ["-T", scratch]).trim().split("\n")[1].split(/\s+/)[1];
  return {
    cpu,
    cores,
    memoryGib,
    kernel: run("uname", ["-r"]).trim(),
    disk,
    commit,
    java,
    gcc,
    kafka,
    cFlags: C_FLAGS.join(" "),
  };
}
