/** Kafka's command-line tools in one JVM (test/support/java/Tools.java): the same code as their scripts start, at a tenth of the time. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cache, kafkaBin } from "./paths.ts";
import type { Outcome } from "./tools.ts";
import { cleanEnvironment } from "./tools.ts";
import { sleep } from "./until.ts";

const LATE_MS = 60_000;

export class ToolsJvm {
  readonly #child = Bun.spawn([join(kafkaBin, "kafka-run-class.sh"), "Tools"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    env: { ...cleanEnvironment(), QUARKMQ_TEST_CACHE: cache },
  });
  readonly #lines = lines(this.#child.stdout);
  /** Tools run one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  /** Runs one of Kafka's tools by its script's name, such as "kafka-topics.sh". */
  run(name: string, args: readonly string[], stdin = ""): Promise<Outcome> {
    const outcome = this.#last.then(() => this.#run(name, args, stdin));
    this.#last = outcome.catch(() => {});
    return outcome;
  }

  /** As `run`, and throws unless it ends with 0; gives what it printed on stdout. */
  async ok(name: string, args: readonly string[], stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(name, args, stdin);
    if (code !== 0)
      throw new Error(`${name} ${args.join(" ")} ended with ${code}\n${stdout.slice(-3000)}\n${stderr.slice(-3000)}`);
    return stdout;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    await Promise.race([this.#child.exited, sleep(5000)]);
    this.#child.kill("SIGKILL");
  }

  async #run(name: string, args: readonly string[], stdin: string): Promise<Outcome> {
    this.#child.stdin.write(`${JSON.stringify({ main: mainClass(name), args, stdin })}\n`);
    this.#child.stdin.flush();
    const late = sleep(LATE_MS).then(() => {
      throw new Error(`${name} ${args.join(" ")} took more than ${LATE_MS} ms`);
    });
    const { value, done } = await Promise.race([this.#lines.next(), late]);
    if (done) throw new Error(`the JVM of the tools ended in ${name} ${args.join(" ")}`);
    return JSON.parse(value) as Outcome;
  }
}

/** What the wrapper of that name starts. */
function mainClass(name: string): string {
  const wrapper = readFileSync(join(kafkaBin, name), "utf8");
  const found = /kafka-run-class\.sh" (\S+)/.exec(wrapper);
  if (found === null) throw new Error(`${name} starts no class`);
  return found[1]!;
}

/** Line by line what a program prints. */
export async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}
