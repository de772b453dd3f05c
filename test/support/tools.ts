/** Runs Kafka's command-line tools (through the wrappers of test/support/kafka/bin) and other programs, with a time limit. */

import { join } from "node:path";
import { cache, kafkaBin } from "./paths.ts";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  stdin?: string | Uint8Array;
  timeoutMs?: number;
  env?: Record<string, string>;
  cwd?: string;
}

/** The environment without the switches of the tests: the binary refuses variables of its prefix that it does not know. */
export function cleanEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("QUARKMQ_"));
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Runs a program to its end. Never throws for its exit code; throws when it takes longer than `timeoutMs`. */
export async function run(command: string[], { stdin, timeoutMs = 60_000, env, cwd }: RunOptions = {}): Promise<Outcome> {
  const child = Bun.spawn(command, {
    stdin: stdin === undefined ? "ignore" : new Blob([stdin]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...cleanEnvironment(), ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, timeoutMs);
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const code = await child.exited;
  clearTimeout(timer);
  if (late)
    throw new Error(`${command.join(" ")} took more than ${timeoutMs} ms\n${stdout.slice(-2000)}\n${stderr.slice(-2000)}`);
  return { code, stdout, stderr };
}

/** Runs one of Kafka's tools by its script's name, such as "kafka-topics.sh". */
export function tool(name: string, args: string[], options: RunOptions = {}): Promise<Outcome> {
  return run([join(kafkaBin, name), ...args], { ...options, env: { QUARKMQ_TEST_CACHE: cache, ...options.env } });
}

/** As `tool`, and throws unless it ends with 0; gives what it printed on stdout. */
export async function toolOk(name: string, args: string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await tool(name, args, options);
  if (code !== 0) throw new Error(`${name} ${args.join(" ")} ended with ${code}\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`);
  return stdout;
}
