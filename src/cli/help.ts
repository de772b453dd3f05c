/** `quarkmq --help`: every command and, from the option table, every option with its variable and default. */
import { type AnyOption, allServerOptions } from "../config/server-options.ts";
import { command } from "./command.ts";

const COMMANDS: readonly [name: string, does: string][] = [
  ["serve", "Run the broker (also without a command)"],
  ["import", "Take over topics from directories that a Kafka broker wrote: import DIR..."],
  ["config", "Print the effective configuration and where each value came from (--json)"],
  ["help", "Print this"],
];

const COMMON: readonly [flag: string, does: string][] = [
  ["-c, --config <PATH>", "TOML file [env: QUARKMQ_CONFIG] [default: config/quarkmq.toml, where it exists]"],
  ["    --set <NAME=VALUE>", "Any option by its name in the file or by Kafka's name; can be repeated"],
  ["-h, --help", "Print this"],
  ["-V, --version", "Print the version"],
];

/** What most people look for. */
const FIRST: readonly string[] = ["bind", "dataDir", "nodeId"];

const WIDTH = 100;

/** Breaks a text into lines of at most WIDTH columns behind an indent. */
function wrapped(text: string, indent: string): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line !== indent) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  return [...lines, line].join("\n");
}

function optionHelp(option: AnyOption): string {
  const kafka = option.kafka.length === 0 ? "" : ` [Kafka: ${option.kafka.map(({ name }) => name).join(", ")}]`;
  const known = `[${option.key}] [env: ${option.env}] [default: ${option.kind.text(option.default) || '""'}]${kafka}`;
  return `      ${option.flag} <${option.kind.placeholder}>\n${wrapped(option.doc, "          ")}\n${wrapped(known, "          ")}\n`;
}

/** The whole help text. */
export function helpText(version: string): string {
  const first = FIRST.map((field) => allServerOptions.find((option) => option.field === field)!);
  const rest = allServerOptions.filter((option) => !first.includes(option));
  const table = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([left, right]) => `  ${left.padEnd(24)} ${right}`).join("\n");
  return `quarkmq ${version}: a Kafka-compatible message broker

Usage: quarkmq [COMMAND] [OPTIONS]

Commands:
${table(COMMANDS)}

Options:
${table(COMMON)}

${[...first, ...rest].map(optionHelp).join("\n")}
Order: built-in < file < environment < command line. An unknown name or a wrong value refuses to start.
`;
}

export const help = command("help", "Print the help", async (context) => {
  context.out(helpText(context.version));
  return 0;
});
