/** What a command of ours is, and what `main.ts` gives it. */
import type { CommandDef } from "citty";
import { parseArguments } from "../config/arguments.ts";
import { type LoadedConfig, loadServerConfig } from "../config/load.ts";
import { readTextFile } from "../io/text-file.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a command works with. It never touches `process`: main.ts owns signals and exits. */
export interface CommandContext {
  /** The arguments behind the command's name. */
  readonly args: readonly string[];
  readonly env: Environment;
  readonly version: string;
  /** Writes to standard output before it returns. */
  out(text: string): void;
  /** Writes to standard error before it returns. */
  err(text: string): void;
  /** Resolves with the name of the first SIGTERM or SIGINT. One that comes half a second later ends the process at once. */
  readonly stopRequested: Promise<string>;
  /** Is called from now on instead of the default for errors that nobody caught. */
  onUncaught(handle: (error: unknown) => void): void;
  /** Ends the process at once. For what must not go on; otherwise return the exit code. */
  exit(code: number): never;
}

/** Exit codes: 0 done, 1 the operator can mend it, 70 a fault of ours or of the disk (EX_SOFTWARE). */
export type ExitCode = 0 | 1 | 70;

export interface CommandData {
  readonly context: CommandContext;
  /** Set by the command when it is done. */
  exitCode: ExitCode;
}

/** Declares a command for the citty root. It reads its own arguments: the framework lets unknown flags pass. */
export function command(name: string, description: string, run: (context: CommandContext) => Promise<ExitCode>): CommandDef {
  return {
    meta: { name, description },
    async run({ data }: { data?: CommandData }) {
      data!.exitCode = await run(data!.context);
    },
  };
}

/** Loads the server's configuration for a command that takes the server's options. Throws ConfigFaults. */
export function loadForCommand(
  context: CommandContext,
  switches: readonly string[] = [],
): LoadedConfig & { switches: ReadonlySet<string> } {
  const parsed = parseArguments(context.args, switches);
  const unexpected = parsed.positionals.map((written) => ({
    written,
    value: null,
    allowed: "unexpected; a command comes before its options",
  }));
  const loaded = loadServerConfig({
    arguments: { ...parsed, faults: [...parsed.faults, ...unexpected] },
    env: context.env,
    readText: readTextFile,
  });
  return { ...loaded, switches: parsed.switches };
}
