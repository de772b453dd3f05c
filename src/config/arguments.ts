/**
 * The command line, checked against the option table. The command framework lets unknown flags and missing values pass, so
 * reading them is ours.
 */
import { suggestion } from "./fault.ts";
import { type AnyOption, allServerOptions } from "./server-options.ts";

/** A name that was given on the command line with its text: a flag of an option, or the name of `--set NAME=VALUE`. */
export interface GivenFlag {
  /** As written: "--bind" or "--set log.roll.hours". */
  readonly written: string;
  /** The option of the flag, or null for --set, whose name is looked up by the loader. */
  readonly option: AnyOption | null;
  /** The name behind --set. */
  readonly name: string;
  readonly text: string;
}

/** A flag that is wrong in itself. */
export interface FlagFault {
  readonly written: string;
  readonly value: string | null;
  readonly allowed: string;
}

export interface Arguments {
  /** The path after -c or --config, null when there is none. */
  readonly configPath: string | null;
  readonly given: readonly GivenFlag[];
  /** Flags of a command (such as --json) that were present. */
  readonly switches: ReadonlySet<string>;
  /** What is neither a flag nor a flag's value; the first is the command. */
  readonly positionals: readonly string[];
  readonly help: boolean;
  readonly version: boolean;
  readonly faults: readonly FlagFault[];
}

const optionByFlag = new Map(allServerOptions.map((option) => [option.flag, option]));
const commonFlags = ["--config", "-c", "--set", "--help", "-h", "--version", "-V"];

/**
 * Reads the arguments after the program's name. `--flag value` and `--flag=value` are the same; a true/false option may stand
 * without a value for true. The last of several wins. `switches` are the further flags, without values, that the command has.
 */
export function parseArguments(args: readonly string[], switches: readonly string[] = []): Arguments {
  const state: Reading = { args, at: 0, faults: [] };
  const given: GivenFlag[] = [];
  const seen = new Set<string>();
  const positionals: string[] = [];
  let configPath: string | null = null;
  while (state.at < args.length) {
    const argument = args[state.at++]!;
    if (argument === "--") {
      positionals.push(...args.slice(state.at));
      break;
    }
    if (!argument.startsWith("-") || argument === "-") {
      positionals.push(argument);
      continue;
    }
    const equals = argument.startsWith("--") ? argument.indexOf("=") : -1;
    const flag = equals < 0 ? argument : argument.slice(0, equals);
    const inline = equals < 0 ? null : argument.slice(equals + 1);
    const option = optionByFlag.get(flag);
    if (option !== undefined) {
      const text = takeValue(state, flag, inline, option.kind.allowed, typeof option.default === "boolean");
      if (text !== null) given.push({ written: flag, option, name: option.key, text });
    } else if (flag === "--config" || flag === "-c") {
      configPath = takeValue(state, flag, inline, "the path of a TOML file", false) ?? configPath;
    } else if (flag === "--set") {
      const text = takeValue(state, flag, inline, "NAME=VALUE", false);
      if (text !== null) readSetting(state, text, given);
    } else if (commonFlags.includes(flag) || switches.includes(flag)) {
      if (inline !== null) state.faults.push({ written: flag, value: inline, allowed: "must stand without a value" });
      seen.add(flag);
    } else {
      const known = [...optionByFlag.keys(), ...commonFlags, ...switches];
      state.faults.push({ written: flag, value: inline, allowed: `unknown flag${suggestion(flag, known)}` });
    }
  }
  return {
    configPath,
    given,
    switches: seen,
    positionals,
    help: seen.has("--help") || seen.has("-h"),
    version: seen.has("--version") || seen.has("-V"),
    faults: state.faults,
  };
}

interface Reading {
  readonly args: readonly string[];
  at: number;
  readonly faults: FlagFault[];
}

/** The value of a flag, or null (with a fault) when it is missing. The next argument is one unless it looks like a flag. */
function takeValue(state: Reading, flag: string, inline: string | null, allowed: string, isBoolean: boolean): string | null {
  if (inline !== null) return inline;
  const next = state.args[state.at];
  if (isBoolean && next !== "true" && next !== "false") return "true";
  if (next !== undefined && (!next.startsWith("-") || /^-\d/.test(next))) {
    state.at++;
    return next;
  }
  state.faults.push({ written: flag, value: null, allowed: `needs a value: ${allowed}` });
  return null;
}

function readSetting(state: Reading, text: string, given: GivenFlag[]): void {
  const equals = text.indexOf("=");
  if (equals > 0) {
    const name = text.slice(0, equals).trim();
    given.push({ written: `--set ${name}`, option: null, name, text: text.slice(equals + 1).trim() });
  } else {
    state.faults.push({ written: "--set", value: text, allowed: "must be NAME=VALUE" });
  }
}
