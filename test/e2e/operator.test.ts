/** What an operator does with the binary: signals, a second broker, a lone file on a hostile machine, mistakes on the command line. */

import { afterEach, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Codec, franzGo } from "../support/driver.ts";
import { binary, cache, root } from "../support/paths.ts";
import { freePort, startTarget, Target, targetKind } from "../support/target.ts";
import { type Outcome, run } from "../support/tools.ts";
import { until } from "../support/until.ts";
import { request, WireConnection } from "../support/wire.ts";

const { version } = (await Bun.file(join(root, "package.json")).json()) as { version: string };

const cleanUps: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** A broker that is gone after the test. */
async function broker(...options: Parameters<typeof startTarget>): Promise<Target> {
  const target = await startTarget(...options);
  cleanUps.push(() => target.destroy());
  return target;
}

/** A new directory on a real disk that is gone after the test. */
function directory(): string {
  mkdirSync(join(cache, "data"), { recursive: true });
  const path = mkdtempSync(join(cache, "data", "operator-"));
  cleanUps.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Runs the binary to its end in an empty directory, with an empty environment. */
function quarkmq(args: string[], env: Record<string, string> = {}, cwd = directory()): Promise<Outcome> {
  const clean = [
    "env",
    "-i",
    ...Object.entries({ HOME: cwd, PATH: "/nowhere", ...env }).map(([name, value]) => `${name}=${value}`),
  ];
  return run(["/usr/bin/env", ...clean.slice(1), binary, ...args], { timeoutMs: 15_000, cwd });
}

// The binary only: these are promises of its own.
if (targetKind === "binary") {
  describe("signals", () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      test(`${signal} ends it cleanly and soon, with clients connected and a fetch waiting`, async () => {
        const target = await broker();
        const driver = franzGo.start(target.bootstrap);
        cleanUps.push(() => driver.close());
        await driver.createTopic("t", 1);
        await driver.produce("t", [{ value: "kept" }]);
        await driver.join("t", "waiting"); // a fetch that waits at the end of the partition
        await until("the member to read", async () => (await driver.member()).records.length === 1);
        const beganMs = Date.now();
        expect(await target.stop(10_000, signal)).toBe(0);
        expect(Date.now() - beganMs).toBeLessThan(5000);
        await target.start();
        expect(await driver.offsets("t", 1, "latest")).toEqual({ 0: 1 });
      });
    }
  });

  test("a second broker on the same directory exits at once and says why, and the first goes on", async () => {
    const target = await broker();
    const second = await quarkmq(["--bind", `127.0.0.1:${await freePort()}`, "--data-dir", target.dataDir]);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(target.dataDir);
    expect(second.stderr).toMatch(/in use|locked|another|already/i);
    const connection = await WireConnection.open(target.port);
    connection.send(request(18, 0, 1));
    expect((await connection.next()).readInt32BE(0)).toBe(1);
    connection.end();
  });

  test("a port that is taken: it exits at once and says so", async () => {
    const target = await broker();
    const second = await quarkmq(["--bind", target.bootstrap, "--data-dir", join(directory(), "data")]);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(target.bootstrap);
  });

  test("kill -9 releases the lock: a start right after it works", async () => {
    const target = await broker();
    await target.kill();
    await target.start();
  });

  test("copied alone into an empty directory it runs, with nothing in its environment", async () => {
    await expectRunsAlone({});
  });

  test("the same with a temporary directory that is mounted noexec", async () => {
    const at = directory();
    const mounted = await run(["mount", "-t", "tmpfs", "-o", "noexec,size=64m", "tmpfs", at]);
    expect(mounted).toMatchObject({ code: 0 });
    cleanUps.push(async () => {
      await run(["umount", at]);
    });
    await expectRunsAlone({ TMPDIR: at, BUN_TMPDIR: at, TMP: at, TEMP: at });
  });

  describe("the command line", () => {
    test("--version and --help", async () => {
      expect(await quarkmq(["--version"])).toMatchObject({ code: 0, stdout: `quarkmq ${version}\n` });
      const help = await quarkmq(["--help"]);
      expect(help.code).toBe(0);
      for (const option of ["--config <PATH>", "--bind", "--data-dir", "--node-id", "QUARKMQ_BIND"])
        expect(help.stdout).toContain(option);
    });

    test("quarkmq config prints what is in force and where it comes from: file < environment < command line", async () => {
      const cwd = directory();
      writeFileSync(
        join(cwd, "my.toml"),
        "[broker]\nnode_id = 3\n[defaults]\nnum_partitions = 2\n[log]\nsegment_bytes = 1048576\n",
      );
      const said = await quarkmq(
        ["config", "-c", "my.toml", "--bind", "127.0.0.1:1234"],
        { QUARKMQ_NODE_ID: "4", QUARKMQ_BIND: "127.0.0.1:4321" },
        cwd,
      );
      expect(said.code).toBe(0);
      const line = (key: string) => said.stdout.split("\n").find((l) => l.startsWith(`${key} `)) ?? "";
      expect(line("server.bind")).toMatch(/127\.0\.0\.1:1234 .*--bind/);
      expect(line("broker.node_id")).toMatch(/ 4 .*QUARKMQ_NODE_ID/);
      expect(line("defaults.num_partitions")).toMatch(/ 2 .*my\.toml/);
      expect(line("log.index_interval_bytes")).toMatch(/ 4096 .*default/);
    });

    const mistakes: [what: string, args: string[], says: string[]][] = [
      ["an unknown flag", ["--no-such-flag"], ["--no-such-flag"]],
      ["a misspelled flag", ["--data-dri", "x"], ["--data-dri", "--data-dir"]],
      ["a flag without its value", ["--bind"], ["--bind"]],
      ["a bad address", ["--bind", "nowhere"], ["--bind", "nowhere"]],
      ["a number out of range", ["--node-id", "-1"], ["--node-id", "-1"]],
      ["an unknown command", ["frobnicate"], ["frobnicate"]],
      ["a file that is not there", ["-c", "missing.toml"], ["missing.toml"]],
    ];
    test.each(mistakes)("%s refuses to start", async (_, args, says) => {
      const outcome = await quarkmq([...args]);
      expect(outcome.code).toBe(1);
      for (const text of says) expect(outcome.stderr).toContain(text);
    });

    test("every fault of every source is listed at once", async () => {
      const cwd = directory();
      mkdirSync(join(cwd, "config"));
      writeFileSync(
        join(cwd, "config/quarkmq.toml"), // the default path
        '[broker]\nnode_id = "three"\nnode_idd = 1\n[nonsense]\nx = 1\n[log]\nsegment_bytes = -5\n',
      );
      const outcome = await quarkmq(["--bogus", "1"], { QUARKMQ_NUM_PARTITIONS: "many", QUARKMQ_NO_SUCH: "1" }, cwd);
      expect(outcome.code).toBe(1);
      for (const text of [
        "broker.node_id",
        "node_idd",
        "nonsense",
        "segment_bytes",
        "-5",
        "QUARKMQ_NUM_PARTITIONS",
        "many",
        "QUARKMQ_NO_SUCH",
        "--bogus",
      ])
        expect(outcome.stderr).toContain(text);
    });
  });

  describe("addresses", () => {
    const brokers = async (target: Target): Promise<string> => {
      const said = await run(["kcat", "-b", target.bootstrap, "-L"]);
      return said.stdout
        .split("\n")
        .filter((line) => /^\s+broker /.test(line))
        .join("\n");
    };

    test("bound to every address, it tells a client the address that the client connected to", async () => {
      const port = await freePort();
      const target = new Target(port, { bind: `0.0.0.0:${port}` });
      cleanUps.push(() => target.destroy());
      await target.start();
      expect(await brokers(target)).toContain(` at 127.0.0.1:${port}`);
    });

    test("an advertised address is what clients are told", async () => {
      const target = await broker({ settings: { "advertised.listeners": "PLAINTEXT://kafka.example.org:19092" } });
      expect(await brokers(target)).toContain(" at kafka.example.org:19092");
    });
  });

  describe("what it says about itself", () => {
    test("a start-up summary, and a line when it stops", async () => {
      const target = await broker();
      expect(target.log()).toContain(version);
      expect(target.log()).toContain(target.bootstrap);
      expect(target.log()).toContain(target.dataDir);
      await target.stop();
      expect(target.log().trim().split("\n").length).toBeLessThan(15);
    });

    test("as JSON, every line is an object", async () => {
      const target = await broker({ args: ["--log-format", "json"] });
      await target.stop();
      for (const line of target.log().trim().split("\n")) expect(JSON.parse(line)).toBeObject();
    });

    test("a data directory below the temporary directory is warned of once", async () => {
      const dataDir = mkdtempSync("/tmp/quarkmq-test-");
      cleanUps.push(() => rmSync(dataDir, { recursive: true, force: true }));
      const target = await broker({ dataDir });
      expect(
        target
          .log()
          .split("\n")
          .filter((line) => /warn/i.test(line) && line.includes("data directory")),
      ).toHaveLength(1);
    });

    test("systemd is told of readiness, of life, and of stopping", async () => {
      const at = directory();
      const socket = join(at, "notify");
      const receiver = Bun.spawn(["/usr/bin/python3", "-u", "-c", RECEIVER, socket], { stdout: "pipe" });
      cleanUps.push(() => receiver.kill());
      let told = "";
      void (async () => {
        for await (const chunk of receiver.stdout) told += new TextDecoder().decode(chunk);
      })();
      await until("the receiver", () => existsSync(socket));
      const target = new Target(await freePort(), { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "400000" } });
      cleanUps.push(() => target.destroy());
      await target.start();
      await until("READY=1 and WATCHDOG=1", () => told.includes("READY=1") && told.includes("WATCHDOG=1"), { timeoutMs: 5000 });
      await target.stop();
      await until("STOPPING=1", () => told.includes("STOPPING=1"), { timeoutMs: 5000 });
    });
  });
}

/** Prints every datagram that it receives. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(65536).decode())
`;

/** Copies the binary alone into an empty directory, and writes and reads every codec through it. */
async function expectRunsAlone(env: Record<string, string>): Promise<void> {
  const home = directory();
  const alone = join(home, "quarkmq");
  copyFileSync(binary, alone);
  const port = await freePort();
  const args = ["--bind", `127.0.0.1:${port}`, "--data-dir", join(home, "data")];
  const child = Bun.spawn([alone, ...args], { cwd: home, env: { PATH: "/nowhere", ...env }, stdout: "pipe", stderr: "pipe" });
  cleanUps.push(() => child.kill("SIGKILL"));
  const driver = franzGo.start(`127.0.0.1:${port}`);
  cleanUps.push(() => driver.close());
  await until("the lone binary to answer", () => driver.createTopic("alone", 1).then(() => true));
  const codecs: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];
  for (const codec of codecs)
    await driver.produce("alone", [{ value: `${codec} ${"z".repeat(5000)}`, timestampMs: 1_700_000_000_000 }], codec);
  const records = await driver.read("alone", { 0: 0 }, { 0: codecs.length });
  expect(records.map((r) => r.codec!)).toEqual(codecs);
  expect(await driver.offsets("alone", 1, 1_700_000_000_000)).toEqual({ 0: 0 });
  child.kill("SIGTERM");
  expect(await child.exited).toBe(0);
}
