/** `quarkmq import DIR...`: takes over topics from directories that a Kafka broker wrote, while no broker runs on the data directory. */
import { resolve } from "node:path";
import { createLogLines } from "../base/log-lines.ts";
import { Broker } from "../broker/broker.ts";
import { type ImportSummary, importTopics, readSource, type Source, type TopicOutcome } from "../broker/import.ts";
import { parseArguments } from "../config/arguments.ts";
import { type LoadedConfig, loadServerConfig } from "../config/load.ts";
import { realClock } from "../io/clock.ts";
import { realRandom } from "../io/random.ts";
import { realDisk } from "../io/real-disk.ts";
import { readTextFile } from "../io/text-file.ts";
import { type CommandContext, command, type ExitCode } from "./command.ts";
import { isOurFault } from "./serve.ts";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The server's options, and the directories behind them. Throws ConfigFaults. */
function load(context: CommandContext): { loaded: LoadedConfig; directories: string[] } {
  const parsed = parseArguments(context.args);
  const missing = {
    written: "DIR",
    value: null,
    allowed: "name at least one log directory of Kafka, or a partition's directory",
  };
  const faults = parsed.positionals.length > 0 ? parsed.faults : [...parsed.faults, missing];
  const loaded = loadServerConfig({ arguments: { ...parsed, faults }, env: context.env, readText: readTextFile });
  return { loaded, directories: parsed.positionals.map((directory) => resolve(directory)) };
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

/** "1.5 MiB". */
export function sizeText(bytes: number): string {
  let unit = 0;
  let size = bytes;
  for (; size >= 1024 && unit < UNITS.length - 1; unit++) size /= 1024;
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

/** A topic's lines for people. */
export function outcomeText(outcome: TopicOutcome): string {
  const { name } = outcome;
  if (outcome.kind === "refused")
    return [`refused   ${name}`, ...outcome.reasons.map((reason) => `            ${reason}`), ""].join("\n");
  const { partitions, records, bytes, notes } = outcome;
  const sizes = `${counted(partitions, "partition")}, ${counted(records, "record")}, ${sizeText(bytes)}`;
  return [`imported  ${name}: ${sizes}`, ...notes.map((note) => `            ${note}`), ""].join("\n");
}

/** The last line. */
export function summaryText(outcomes: readonly TopicOutcome[]): string {
  const imported = outcomes.filter((outcome) => outcome.kind === "imported");
  const sum = (of: (outcome: (typeof imported)[number]) => number) => imported.reduce((total, each) => total + of(each), 0);
  const refused = outcomes.length - imported.length;
  const sizes = `${counted(
    sum((each) => each.partitions),
    "partition",
  )}, ${sizeText(sum((each) => each.bytes))}`;
  return `${counted(imported.length, "topic")} imported (${sizes}), ${refused} refused\n`;
}

/** What an operator should know beside the topics themselves. */
export function warningsText(sources: readonly Source[], { knewMetadata, elsewhere }: ImportSummary): string {
  const lines = sources.flatMap((source) => source.passedOver.map(({ path, why }) => `passed over ${path}: ${why}`));
  if (elsewhere.length > 0) lines.push(`Kafka has topics of which nothing is here: ${elsewhere.join(", ")}`);
  if (!knewMetadata)
    lines.push(
      "there is no __cluster_metadata-0: the topics have default configs, and partitions missing at the end show nowhere",
    );
  return lines.map((line) => `quarkmq: ${line}\n`).join("");
}

async function run(context: CommandContext): Promise<ExitCode> {
  const { loaded, directories } = load(context);
  const { config, origins } = loaded;
  const level = origins.logLevel.source === "default" ? "warn" : config.logLevel;
  const logger = createLogLines({ level, format: config.logFormat, write: context.err });
  const onFatal = (error: unknown): never => {
    logger.error(`going on would break a promise, so the import ends: ${messageOf(error)}`);
    return context.exit(70);
  };
  let stopped = false;
  context.stopRequested.then(() => {
    stopped = true;
  });
  const outcomes: TopicOutcome[] = [];
  const onTopic = (outcome: TopicOutcome): void => {
    outcomes.push(outcome);
    context.out(outcomeText(outcome));
  };
  try {
    const sources = [...new Set(directories)].map((directory) => readSource(realDisk, directory));
    const broker = await Broker.open({ config, logger, clock: realClock, disk: realDisk, random: realRandom, onFatal });
    try {
      const summary = await importTopics({ broker, disk: realDisk, sources, isStopped: () => stopped, onTopic });
      context.err(warningsText(sources, summary));
    } finally {
      await broker.close();
      if (outcomes.length > 0) context.out(summaryText(outcomes));
    }
  } catch (error) {
    if (isOurFault(error)) throw error;
    context.err(`quarkmq: cannot import: ${messageOf(error)}\n`);
    return 1;
  }
  return outcomes.some((outcome) => outcome.kind === "refused") ? 1 : 0;
}

export const importCommand = command("import", "Take over topics that a Kafka broker wrote", run);
