/** The logger of the broker: consola decides what is written, this file how it looks. One line each, whole and in order. */
import { createConsola } from "consola/core";
import type { LogFields, Logger, LogLevel } from "./logger.ts";

const CONSOLA_LEVELS: Record<LogLevel, number> = { error: 0, warn: 1, info: 3, debug: 4 };

export interface LogLinesOptions {
  /** These lines and worse. */
  readonly level: LogLevel;
  readonly format: "text" | "json";
  /** Takes one whole line, with its line break, and returns when it is out of our hands: the last line before an exit counts most. */
  readonly write: (line: string) => void;
}

/** A logger that writes lines: `2026-11-23T21:24:05.123Z info  topic created topic=test partitions=3`, or JSON objects. */
export function createLogLines({ level: first, format, write }: LogLinesOptions): Logger {
  let level = first;
  const line = format === "json" ? jsonLine : textLine;
  const consola = createConsola({
    level: CONSOLA_LEVELS[level],
    throttle: 0, // its repeat counter would hold lines back
    reporters: [{ log: ({ date, type, args }) => write(line(date, type, String(args[0]), args[1] as LogFields | undefined)) }],
  });
  return {
    debug: (message, fields) => consola.debug(message, fields),
    info: (message, fields) => consola.info(message, fields),
    warn: (message, fields) => consola.warn(message, fields),
    error: (message, fields) => consola.error(message, fields),
    get level() {
      return level;
    },
    setLevel(next) {
      level = next;
      consola.level = CONSOLA_LEVELS[next];
    },
  };
}

function textLine(date: Date, level: string, message: string, fields: LogFields | undefined): string {
  let line = `${date.toISOString()} ${level.padEnd(5)} ${printable(message)}`;
  for (const [key, value] of Object.entries(fields ?? {})) if (value !== undefined) line += ` ${key}=${textValue(value)}`;
  return `${line}\n`;
}

/** Values with blanks, quotes or unprintable characters are quoted: what a client sends cannot forge a field or a line. */
function textValue(value: string | number | boolean | null): string {
  const text = String(value);
  return typeof value === "string" && !/^[^\s"=\\\p{C}]+$/u.test(text) ? printable(JSON.stringify(text)) : text;
}

/** Escapes what would break a line or move a terminal's cursor; text itself stays readable. */
const printable = (text: string): string =>
  text.replace(/[\p{C}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return code === 10 ? "\\n" : `\\u{${code.toString(16)}}`;
  });

function jsonLine(date: Date, level: string, message: string, fields: LogFields | undefined): string {
  const own = { time: date.toISOString(), level, message };
  return `${JSON.stringify({ ...own, ...fields, ...own })}\n`; // twice: first in the line, and not to be replaced by a field
}
