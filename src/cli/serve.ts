/** `quarkmq serve`: from the configuration to a listening broker, and from a signal to a clean end. */
import { BrokenInvariant } from "../base/assert.ts";
import { createLogLines } from "../base/log-lines.ts";
import type { LogFields, Logger } from "../base/logger.ts";
import type { LoadedConfig } from "../config/load.ts";
import { listenAddress } from "../config/option.ts";
import { allServerOptions, type ServerConfig } from "../config/server-options.ts";
import { keptWithoutEffect } from "../config/without-effect.ts";
import { realClock } from "../io/clock.ts";
import { openNotifier } from "../io/notify.ts";
import { volatileDirectory } from "../io/process-limits.ts";
import { realRandom } from "../io/random.ts";
import { realDisk } from "../io/real-disk.ts";
import { CleanerThread } from "../log/cleaner-thread.ts";
import { startServer } from "../server/server.ts";
import { type CommandContext, command, type ExitCode, loadForCommand } from "./command.ts";

type Server = Awaited<ReturnType<typeof startServer>>;

async function run(context: CommandContext): Promise<ExitCode> {
  const startedAtMs = realClock.monotonicMs();
  const loaded = loadForCommand(context);
  const { config } = loaded;
  const logger = createLogLines({ level: config.logLevel, format: config.logFormat, write: context.err });
  context.onUncaught(uncaughtBy(context, logger));
  logger.info(`quarkmq ${context.version} starts`, { config: loaded.configPath ?? "none", ...changedOptions(loaded) });
  warnOfDirectory(config, logger);
  const kept = keptWithoutEffect(config).map(([name]) => name);
  if (kept.length > 0) logger.warn("configs of Kafka that have no effect here are kept", { names: kept.join(",") });
  const notifier = openNotifier(context.env, process.pid, realClock);

  const server = await start(context, config, logger);
  if (typeof server === "number") return server;
  const address = listenAddress.text({ host: server.host, port: server.port });
  logger.info(`listening on ${address}`, {
    nodeId: config.nodeId,
    dataDir: config.dataDir,
    durability: config.durability,
    tookMs: Math.round(realClock.monotonicMs() - startedAtMs),
  });
  notifier.ready(`listening on ${address}`);

  const signal = await context.stopRequested;
  notifier.stopping("stopping");
  const exitCode = await stop(server, signal, config.shutdownTimeoutMs, logger);
  notifier.close();
  return exitCode;
}

/** The running server, or the exit code when it does not come to that. */
async function start(context: CommandContext, config: ServerConfig, logger: Logger): Promise<Server | ExitCode> {
  const onFatal = (error: unknown): never => {
    logger.error(`going on would break a promise, so the broker ends: ${messageOf(error)}`);
    return context.exit(70);
  };
  try {
    const cleanerRunner = new CleanerThread();
    const starting = startServer({
      ...{ config, logger, onFatal, cleanerRunner },
      ...{ clock: realClock, disk: realDisk, random: realRandom },
    });
    const started = await Promise.race([starting, context.stopRequested]);
    if (typeof started !== "string") return started;
    logger.info(`${started}: stopped before the start was complete`); // as safe as a kill: the next start recovers
    return 0;
  } catch (error) {
    if (isOurFault(error)) return uncaughtBy(context, logger)(error);
    logger.error(`cannot start: ${startFault(error, config)}`);
    return 1;
  }
}

/** Stops the server, but waits no longer than the configuration allows. */
async function stop(server: Server, signal: string, timeoutMs: number, logger: Logger): Promise<ExitCode> {
  logger.info(`${signal}: stopping`, { withinMs: timeoutMs });
  const expiry = new Promise<"late">((done) => {
    realClock.schedule(timeoutMs, () => done("late"));
  });
  if ((await Promise.race([server.stop(), expiry])) === "late") {
    logger.error("did not stop in time; the next start checks what was written last", { shutdownTimeoutMs: timeoutMs });
    return 1;
  }
  logger.info("stopped");
  return 0;
}

const uncaughtBy =
  (context: CommandContext, logger: Logger) =>
  (error: unknown): never => {
    const stack = error instanceof Error ? error.stack : undefined;
    logger.error(`a fault in quarkmq, so the broker ends: ${messageOf(error)}`, { stack });
    return context.exit(70);
  };

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Only mistakes of ours have these types; everything else that stops a start is the operator's to mend. */
export const isOurFault = (error: unknown): boolean =>
  !(error instanceof Error) || [BrokenInvariant, TypeError, ReferenceError, RangeError].some((type) => error instanceof type);

const LISTEN_FAULTS: Record<string, string> = {
  EADDRINUSE: "the port is in use; is a broker running already?",
  EADDRNOTAVAIL: "this machine has no such address",
  EACCES: "permission denied; ports below 1024 need a privilege",
  ENOTFOUND: "there is no host of this name",
};

/** What the system's codes mean to someone who has to mend it. */
const CODES: Record<string, string> = {
  EACCES: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "no space left",
  EDQUOT: "the quota is used up",
  EEXIST: "something else has that name",
  ENOTDIR: "a part of the path is not a directory",
  EMFILE: "too many open files",
};

/** What an operator needs to hear about a start that failed, in one line. */
export function startFault(error: unknown, config: ServerConfig): string {
  const { code = "", syscall } = error as { code?: string; syscall?: string };
  if (syscall === "listen")
    return `cannot listen on ${listenAddress.text(config.bind)}: ${LISTEN_FAULTS[code] ?? messageOf(error)}`;
  return messageOf(error).replace(/\bE[A-Z]{3,}\b/g, (name) => (CODES[name] === undefined ? name : `${CODES[name]} (${name})`));
}

function warnOfDirectory({ dataDir }: ServerConfig, logger: Logger): void {
  const why = volatileDirectory(dataDir);
  if (why !== null)
    logger.warn(
      `the data directory ${why}: everything in it can be gone when the machine restarts; choose another with --data-dir`,
      {
        dataDir,
      },
    );
}

/** The options that someone set, with their values. */
export function changedOptions({ config, origins }: LoadedConfig): LogFields {
  const changed = allServerOptions.filter(({ field }) => origins[field].source !== "default");
  return Object.fromEntries(changed.map(({ key, kind, field }) => [key, kind.text(config[field])]));
}

export const serve = command("serve", "Run the broker", run);
