// Installs what the tests need beside the project's own packages, into .cache (and test/support/js/node_modules): Kafka's jars,
// the Java and Go drivers, the JavaScript clients. Debian packages are installed when this runs as root; otherwise it names them.
// Everything is done once: a stamp holds the hash of what it was made from. Plain Node 20: nothing else need be there yet.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const support = join(root, "test/support");
const cache = process.env.QUARKMQ_TEST_CACHE ?? join(root, ".cache");

/** What the Go toolchain must be at least (test/support/go/go.mod), and the one that is fetched when there is an older one only. */
const GO_VERSION = "1.26.8";

/** Runs a command to its end; throws with its output when it fails. */
function run(command, args, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 << 20, ...options });
  if (error || status !== 0)
    throw new Error(`${command} ${args.join(" ")}: ${error ?? `exit code ${status}`}\n${stdout ?? ""}\n${stderr ?? ""}`);
  return stdout;
}

/** What a command prints, or "" when it fails or is not there. */
function said(command, args, options = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", ...options });
  return status === 0 ? `${stdout}${stderr}` : "";
}

/** Does `work` unless it was done before from the same inputs (files, or plain text such as a version). */
function once(name, inputs, work) {
  const hash = createHash("sha256");
  for (const input of inputs) hash.update(existsSync(input) ? readFileSync(input) : input).update("\0");
  const digest = hash.digest("hex");
  const stamp = join(cache, "stamps", name);
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
  const startMs = Date.now();
  console.log(`test needs: ${name} …`);
  work();
  mkdirSync(join(cache, "stamps"), { recursive: true });
  writeFileSync(stamp, digest);
  console.log(`test needs: ${name} done in ${Math.round((Date.now() - startMs) / 1000)} s`);
}

const hasPython = (module) => said("/usr/bin/python3", ["-c", `import ${module}; print(1)`]) !== "";

/** Debian package → whether what we need of it is there already, wherever it came from. */
const debian = {
  "openjdk-17-jdk-headless": () =>
    Number(/version "(\d+)/.exec(said("java", ["-version"]))?.[1] ?? 0) >= 17 && said("javac", ["-version"]) !== "",
  maven: () => said("mvn", ["-v"]) !== "",
  "golang-go": () => said("go", ["version"]) !== "",
  kcat: () => said("kcat", ["-V"]) !== "",
  strace: () => process.getuid() !== 0 || said("strace", ["-V"]) !== "", // one torture wants it, and is skipped without
  "python3-pip": () => said("/usr/bin/python3", ["-m", "pip", "--version"]) !== "",
  "python3-confluent-kafka": () => hasPython("confluent_kafka"),
  "python3-kafka": () => hasPython("kafka"),
  "python3-snappy": () => hasPython("snappy"),
  "python3-lz4": () => hasPython("lz4"),
  "python3-zstandard": () => hasPython("zstandard"),
};

/** The newest librdkafka comes inside a Python package, for the Python that Debian's python3-confluent-kafka is for. */
const LIBRDKAFKA = "confluent-kafka==2.16.1";

function debianPackages() {
  const missing = Object.keys(debian).filter((name) => !debian[name]());
  if (missing.length === 0) return;
  const command = `apt-get install -y --no-install-recommends ${missing.join(" ")}`;
  if (process.getuid() !== 0 || said("apt-get", ["--version"]) === "") {
    throw new Error(`the tests need packages that are not installed. As root:\n  apt-get update && ${command}`);
  }
  console.log(`test needs: ${command} …`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-q"], { env });
  run("apt-get", command.split(" ").slice(1), { env });
  const still = missing.filter((name) => !debian[name]());
  if (still.length > 0) throw new Error(`still missing after their installation: ${still.join(" ")}`);
}

/** Kafka's own, and what runs on it. */
function kafkaJars() {
  for (const name of ["kafka", "kafka-apps"]) {
    const pom = join(support, name, "pom.xml");
    once(`${name}-jars`, [pom], () => {
      const libs = join(cache, name, "libs");
      rmSync(libs, { recursive: true, force: true });
      const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${libs}`];
      run("mvn", ["-q", "-B", "-ntp", "-f", pom, ...goal]);
    });
  }
}

/** Apart from the other jars: the tools start without them. */
function kafkaStreams() {
  const pom = join(support, "kafka-streams/pom.xml");
  const source = join(support, "java/Streams.java");
  once("kafka-streams", [pom, source], () => {
    const libs = join(cache, "streams/libs");
    rmSync(libs, { recursive: true, force: true });
    const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${libs}`];
    run("mvn", ["-q", "-B", "-ntp", "-f", pom, ...goal]);
    run("javac", ["-d", join(cache, "java"), "-cp", join(libs, "*"), source]);
  });
}

function javaPrograms() {
  for (const [name, program] of [
    ["java-driver", "Driver"],
    ["java-tools", "Tools"],
    ["java-streams", "StreamsApp"],
  ]) {
    const source = join(support, `java/${program}.java`);
    once(name, [source, join(support, "kafka/pom.xml"), join(support, "kafka-apps/pom.xml")], () => {
      const jars = ["kafka", "kafka-apps"].map((each) => join(cache, each, "libs/*"));
      run("javac", ["-d", join(cache, "java"), "-cp", jars.join(delimiter), source]);
    });
  }
}

function newLibrdkafka() {
  once("new-librdkafka", [LIBRDKAFKA, process.platform, process.arch], () => {
    const target = join(cache, "python");
    rmSync(target, { recursive: true, force: true });
    const options = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-deps", "--only-binary=:all:"];
    run("/usr/bin/python3", ["-m", "pip", "install", ...options, "--target", target, LIBRDKAFKA]);
  });
}

function javascriptClients() {
  const at = join(support, "js");
  once("js-clients", [join(at, "package.json"), join(at, "package-lock.json"), process.platform, process.arch], () => {
    run("npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"], { cwd: at });
  });
}

function kafkaPython() {
  const requirements = join(support, "python/requirements.txt");
  once("kafka-python", [requirements], () => {
    const target = join(cache, "kafka-python");
    rmSync(target, { recursive: true, force: true });
    const options = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--no-deps"];
    run("/usr/bin/python3", ["-m", "pip", "install", ...options, "--target", target, "-r", requirements]);
  });
}

const newEnough = (version) => {
  const [major, minor] = version.replace(/^go/, "").split(".").map(Number);
  const [wantedMajor, wantedMinor] = GO_VERSION.split(".").map(Number);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
};

/**
 * The go command to use. Debian's is older than franz-go wants: then the toolchain is fetched as Go's own command would do it,
 * as the module golang.org/toolchain.
 */
function goCommand() {
  if (newEnough(said("go", ["env", "GOVERSION"], { env: { ...process.env, GOTOOLCHAIN: "local" } }).trim())) return "go";
  const home = join(cache, `go-${GO_VERSION}`);
  if (!existsSync(home)) {
    const arch = { x64: "amd64", arm64: "arm64" }[process.arch];
    const module = `golang.org/toolchain@v0.0.1-go${GO_VERSION}.${process.platform}-${arch}`;
    console.log(`test needs: ${module} …`);
    const { Dir } = JSON.parse(run("go", ["mod", "download", "-json", module], { cwd: mkdir(join(cache, "empty")) }));
    const copy = `${home}.new`;
    rmSync(copy, { recursive: true, force: true });
    cpSync(Dir, copy, { recursive: true });
    for (const folder of ["bin", "pkg/tool"]) makeExecutable(join(copy, folder)); // a module's files are read-only data
    renameSync(copy, home);
  }
  return join(home, "bin/go");
}

function mkdir(path) {
  mkdirSync(path, { recursive: true });
  return path;
}

function makeExecutable(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) makeExecutable(join(folder, entry.name));
    else chmodSync(join(folder, entry.name), 0o755);
  }
}

function goDriver() {
  const at = join(support, "go");
  const sources = ["main.go", "go.mod", "go.sum"].map((name) => join(at, name));
  once("go-driver", sources, () => {
    const go = goCommand();
    const env = { ...process.env, GOTOOLCHAIN: "local", GOFLAGS: "-mod=readonly -buildvcs=false", GO111MODULE: "on" };
    run(go, ["build", "-o", join(cache, "bin/franz-go-driver"), "."], { cwd: at, env });
  });
}

/** Installs everything; throws with a message for people. */
export function installTestNeeds() {
  mkdir(cache);
  debianPackages();
  kafkaJars();
  javaPrograms();
  kafkaStreams();
  javascriptClients();
  kafkaPython();
  goDriver();
  newLibrdkafka();
}

if (process.argv[1] === import.meta.filename) installTestNeeds();
