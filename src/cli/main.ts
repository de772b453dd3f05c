/**
 * The program: picks the command, and is the only place that ends the process and listens for signals. Commands are loaded when
 * they are picked. Bare `quarkmq`, and `quarkmq` with options only, serves.
 */
import { type CommandDef, defineCommand, runCommand } from "citty";
import { version } from "../../package.json";
import { ConfigFaults } from "../config/fault.ts";
import { realClock } from "../io/clock.ts";
import { writeText } from "../io/text-file.ts";
import type { CommandContext, CommandData } from "./command.ts";

const root = defineCommand({
  meta: { name: "quarkmq", version, description: "Kafka in one file: a Kafka-compatible message broker" },
  subCommands: {
    serve: () => import("./serve.ts").then((file) => file.serve),
    config: () => import("./config.ts").then((file) => file.config),
    import: () => import("./import.ts").then((file) => file.importCommand),
    help: () => import("./help.ts").then((file) => file.help),
  },
});

const commands = root.subCommands as Record<string, () => Promise<CommandDef>>;

/** The command's name and its arguments. The name comes first; citty would take an option's value for it. */
function pick(argv: readonly string[]): { name: string; args: readonly string[] } {
  const [first = "", ...rest] = argv;
  if (argv.includes("--help") || argv.includes("-h")) return { name: "help", args: first.startsWith("-") ? [] : [first] };
  if (first === "--version" || first === "-V") return { name: "version", args: [] };
  return first === "" || first.startsWith("-") ? { name: "serve", args: argv } : { name: first, args: rest };
}

let uncaught = (error: unknown): void => {
  writeText(2, `quarkmq: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(70);
};
process.on("uncaughtException", (error) => uncaught(error));
process.on("unhandledRejection", (error) => uncaught(error));

/** One keypress or one `systemctl stop` can reach the broker twice, by the process group and from a parent that passes it on. */
const SAME_SIGNAL_MS = 500;

const stopRequested = new Promise<string>((resolve) => {
  let firstAtMs: number | null = null;
  for (const [signal, number] of [["SIGTERM", 15] as const, ["SIGINT", 2] as const]) {
    process.on(signal, () => {
      const nowMs = realClock.monotonicMs();
      firstAtMs ??= nowMs;
      if (nowMs - firstAtMs > SAME_SIGNAL_MS) process.exit(128 + number); // asked again: at once
      resolve(signal);
    });
  }
});

function contextFor(args: readonly string[]): CommandContext {
  return {
    args,
    env: process.env,
    version,
    out: (text) => writeText(1, text),
    err: (text) => writeText(2, text),
    stopRequested,
    onUncaught: (handle) => {
      uncaught = handle;
    },
    exit: (code) => process.exit(code),
  };
}

async function main(argv: readonly string[]): Promise<number> {
  const { name, args } = pick(argv);
  if (name === "version") {
    writeText(1, `quarkmq ${version}\n`);
    return 0;
  }
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load === undefined) {
    writeText(2, `quarkmq: unknown command: ${name}\nCommands: ${Object.keys(commands).join(", ")}. Try quarkmq --help.\n`);
    return 1;
  }
  const data: CommandData = { context: contextFor(args), exitCode: 0 };
  try {
    await runCommand(await load(), { rawArgs: [], data });
  } catch (error) {
    if (!(error instanceof ConfigFaults)) throw error;
    writeText(2, `quarkmq: ${error.message}\n`);
    return 1;
  }
  return data.exitCode;
}

process.exit(await main(process.argv.slice(2)));
