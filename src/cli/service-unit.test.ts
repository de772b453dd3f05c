/** config/quarkmq.service: what it says fits the program, and systemd accepts it. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArguments } from "../config/arguments.ts";
import { loadServerConfig } from "../config/load.ts";

const unit = await Bun.file(`${import.meta.dir}/../../config/quarkmq.service`).text();
const settings = new Map([...unit.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));

const scratch = mkdtempSync(join(tmpdir(), "quarkmq-unit-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("its command line and environment are ours, and its data lies in the state directory", () => {
  const [program, ...args] = settings.get("ExecStart")!.split(" ");
  expect(program).toBe("/usr/local/bin/quarkmq");
  const env = Object.fromEntries([settings.get("Environment")!.split("=")]);
  const paths: string[] = [];
  const readText = (path: string) => {
    paths.push(path);
    return "";
  };
  const { config } = loadServerConfig({ arguments: parseArguments(args), env, readText });
  expect(paths).toEqual(["/etc/quarkmq/quarkmq.toml"]);
  expect(config.dataDir.startsWith(`/var/lib/${settings.get("StateDirectory")}/`)).toBe(true);
  expect(Number(settings.get("TimeoutStopSec")) * 1000).toBeGreaterThan(config.shutdownTimeoutMs);
});

test("it waits for readiness, watches, and leaves the JIT compiler alone", () => {
  expect(settings.get("Type")).toBe("notify");
  expect(Number(settings.get("WatchdogSec"))).toBeGreaterThan(0);
  expect(settings.get("NoNewPrivileges")).toBe("yes");
  expect(settings.get("ProtectSystem")).toBe("strict");
  expect(settings.has("MemoryDenyWriteExecute")).toBe(false);
});

// Not a skip: where there is no systemd there is nothing to ask.
if (Bun.which("systemd-analyze") !== null)
  test("systemd accepts every line", async () => {
    const path = join(scratch, "quarkmq.service");
    await Bun.write(path, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/sh")); // it looks whether the program is there
    const { exitCode, stderr } = Bun.spawnSync(["systemd-analyze", "verify", path]);
    expect([exitCode, stderr.toString()]).toEqual([0, ""]);
  });
