/** What every room may log to. Lines are for operators: what happened, to what, what to do. */

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Values that may stand behind a log line, as `key=value` in text and as members in JSON. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** These lines and worse are written; it can change. Missing, as the next, where that is not known. */
  readonly level?: LogLevel;
  setLevel?(level: LogLevel): void;
}

/** Drops every line: for tests and for code that runs before logging is configured. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };
