/** A whole broker with its listeners: from the configuration to clients being served, and back. */
import type { Logger } from "../base/logger.ts";
import { Broker } from "../broker/broker.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { Handler } from "../handlers/handler.ts";
import { handlers } from "../handlers/index.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import { type Net, realNet } from "../io/net.ts";
import { openFilesLimit } from "../io/process-limits.ts";
import type { Random } from "../io/random.ts";
import type { CleanerRunner } from "../log/cleaner.ts";
import { UnpackThread } from "../record/unpack-thread.ts";
import { Frontend } from "./frontend.ts";

export interface ServerOptions {
  readonly config: ServerConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly random: Random;
  /** Compacts logs; on the loop, in between, unless given. */
  readonly cleanerRunner?: CleanerRunner;
  /** The system's sockets unless given. */
  readonly net?: Net;
  /** What is served; all that we have unless given. */
  readonly handlers?: readonly Handler[];
  /** Called when going on would break a promise. Must end the process, in a test the test. */
  onFatal(error: unknown): void;
}

export interface Server {
  /** As bound. */
  readonly host: string;
  readonly port: number;
  /**
   * Accepts nothing more, answers what has begun (long polls come back early), closes the connections and then the broker. The caller bounds
   * how long it may take.
   */
  stop(): Promise<void>;
}

/**
 * Opens the broker, then listens. Rejects with what is wrong with the data directory, or with the system's error (its `syscall` is "listen")
 * when the address cannot be had; nothing is left open then.
 */
export async function startServer(o: ServerOptions): Promise<Server> {
  const { logger, clock, disk, random, onFatal } = o;
  const unpacker = new UnpackThread();
  const affordableFiles = Math.floor((openFilesLimit() ?? Number.POSITIVE_INFINITY) / 2);
  const openFilesMax = Math.min(o.config.openFilesMax, affordableFiles);
  const broker = await Broker.open({
    config: { ...o.config, openFilesMax },
    ...{ logger, clock, disk, random, onFatal, unpacker, cleanerRunner: o.cleanerRunner },
  });
  const { config } = broker;
  const frontend = new Frontend({
    ...{ config, logger, clock, broker, onFatal },
    net: o.net ?? realNet,
    handlers: o.handlers ?? handlers,
    affordableConnections: affordableConnections(config, openFilesLimit(), logger),
  });
  try {
    // The first of what will be several, with security of their own each.
    const { host, port } = frontend.listen({ name: "PLAINTEXT", ...config.bind });
    broker.listening(host, port);
    return { host, port, stop: () => stop(frontend, broker, config) };
  } catch (error) {
    frontend.abort();
    await broker.close();
    throw error;
  }
}

async function stop(frontend: Frontend, broker: Broker, { shutdownTimeoutMs }: ServerConfig): Promise<void> {
  frontend.end(shutdownTimeoutMs);
  try {
    await frontend.quiet(Math.min(WORK_MS, shutdownTimeoutMs / 4)); // what only waits for the disk is better answered than refused
    await broker.close(); // answers what waits for it
    await frontend.drained(Math.min(SEND_MS, shutdownTimeoutMs / 4));
  } finally {
    frontend.abort();
  }
}

/** How long what has begun may go on as if nothing happened, long polls aside, before the broker closes under it. */
const WORK_MS = 1000;
/** How long clients may take to read their last answers. */
const SEND_MS = 2000;

/** Files for everything else: the lock, metadata, checkpoints, libraries, pipes. */
const OTHER_FILES = 64;

/**
 * How many connections the process can have beside the files of the log, `filesLimit` being how many files it may open (null: not known). One too many
 * would be worse than refusing it: with no file descriptor left the log cannot open its files, and the system offers the connection again and again.
 */
export function affordableConnections(config: ServerConfig, filesLimit: number | null, logger: Logger): number {
  if (filesLimit === null) return Number.POSITIVE_INFINITY;
  const affordable = Math.max(1, Math.floor(filesLimit - OTHER_FILES - Math.min(config.openFilesMax, filesLimit / 2)));
  if (affordable >= config.maxConnections) return affordable;
  logger.warn("the limit of open files allows fewer connections than server.max_connections; raise it (ulimit -n, LimitNOFILE)", {
    limit: filesLimit,
    maxConnections: config.maxConnections,
    connections: affordable,
  });
  return affordable;
}
