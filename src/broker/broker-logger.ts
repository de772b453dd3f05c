/**
 * The level of what the broker writes about itself, as clients see and set it (KIP-412). There is one logger, Kafka's "root". A level that was
 * set lasts until the broker stops. Source: RuntimeLoggerManager, LoggingController.
 */
import type { Logger, LogLevel } from "../base/logger.ts";
import { KafkaError } from "../protocol/errors.ts";

export const ROOT_LOGGER = "root";

/** LogLevelConfig.VALID_LOG_LEVELS in the order of Kafka's message, and which lines of ours are written then: these and worse. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  DEBUG: "debug",
  ERROR: "error",
  FATAL: "error", // the last line before an exit is written in any case
  INFO: "info",
  TRACE: "debug",
  WARN: "warn",
};

export class BrokerLogger {
  private readonly logger: Logger;
  private level: string;

  constructor(logger: Logger, level: string) {
    this.logger = logger;
    this.level = level.toUpperCase();
  }

  /** Every logger with its level. */
  levels(): ReadonlyMap<string, string> {
    return new Map([[ROOT_LOGGER, this.level]]);
  }

  /** Throws the KafkaError of a level that cannot be set. */
  checkSet(name: string, level: string): void {
    this.checkName(name);
    const valid = Object.keys(LEVELS);
    if (valid.includes(level)) return;
    throw new KafkaError(
      "INVALID_CONFIG",
      `Cannot set the log level of ${name} to ${level} as it is not a supported log level. Valid log levels are ${valid.join(", ")}`,
    );
  }

  /** Throws the KafkaError of a level that cannot be unset: that of the only logger cannot. */
  checkUnset(name: string): void {
    this.checkName(name);
    throw new KafkaError("INVALID_REQUEST", `Removing the log level of the ${ROOT_LOGGER} logger is not allowed`);
  }

  set(level: string): void {
    this.level = level;
    this.logger.setLevel?.(LEVELS[level]!);
    this.logger.warn("the level of log lines was changed", { level: LEVELS[level] });
  }

  private checkName(name: string): void {
    if (name !== ROOT_LOGGER) throw new KafkaError("INVALID_CONFIG", `Logger ${name} does not exist!`);
  }
}
