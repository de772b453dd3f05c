/**
 * Kafka's own way to define a config: types, how text is read and written, and what is checked, with Kafka's messages. The tables
 * of Kafka's names (broker-configs.ts, topic-options.ts, group-configs.ts, client-metrics-configs.ts) are made of this; the options
 * of quarkmq (option.ts) are read more strictly. Source: ConfigDef, ConfigException.
 */
import { doubleText } from "./double-text.ts";
import { LONG_MAX } from "./option.ts";

/** ConfigDef.Type. */
export type ConfigType = "BOOLEAN" | "STRING" | "INT" | "SHORT" | "LONG" | "DOUBLE" | "LIST" | "CLASS" | "PASSWORD";

/** Says what is wrong with a value in Kafka's words, or null; `shown` is the value as Kafka writes it. */
export type Check<T> = (value: T, name: string, shown: string) => string | null;

/** What of a config decides how its text is read. */
export interface ConfigKey {
  readonly name: string;
  readonly type: ConfigType;
  readonly check: Check<never>;
}

/** A value that was read, and its text as Kafka writes it. Longs keep their exact text: a double would round them. */
export interface ParsedConfig {
  readonly value: unknown;
  readonly text: string;
}

/** ConfigException's message. */
export const invalidValue = (name: string, value: unknown, why: string): string =>
  `Invalid value ${value} for configuration ${name}: ${why}`;

export const anything: Check<unknown> = () => null;

export const atLeast =
  (min: number): Check<number> =>
  (value, name, shown) =>
    value < min ? invalidValue(name, shown, `Value must be at least ${min}`) : null;

export const between =
  (min: number, max: number): Check<number> =>
  (value, name, shown) =>
    value > max ? invalidValue(name, shown, `Value must be no more than ${max}`) : atLeast(min)(value, name, shown);

/** ValidString.in. */
export const oneOf =
  (...words: string[]): Check<string> =>
  (value, name) =>
    words.includes(value) ? null : invalidValue(name, value, `String must be one of: ${words.join(", ")}`);

/** CaseInsensitiveValidString.in. */
export const oneOfAnyCase =
  (...words: string[]): Check<string> =>
  (value, name) =>
    words.includes(value.toUpperCase())
      ? null
      : invalidValue(name, value, `String must be one of (case insensitive): ${words.join(", ")}`);

/** The checks that are Kafka's ValidList: its lists lose what stands in them twice. */
const validLists = new WeakSet<Check<never>>();

/** ValidList: some of a few words (any, when there are none); `emptyAllowed` is Kafka's isEmptyAllowed. */
export function someOf(words: readonly string[], emptyAllowed = true): Check<readonly string[]> {
  const check: Check<readonly string[]> = (values, name) => {
    if (values.length === 0 && !emptyAllowed) {
      const valid = words.length === 0 ? "any non-empty value" : `[${words.join(", ")}]`;
      return `Configuration '${name}' must not be empty. Valid values include: ${valid}`;
    }
    for (const value of values) {
      if (value === "") return `Configuration '${name}' values must not be empty.`;
      const wrong = words.length === 0 ? null : oneOf(...words)(value, name, value);
      if (wrong !== null) return wrong;
    }
    return null;
  };
  validLists.add(check);
  return check;
}

/** GzipCompression.LevelValidator. */
export const gzipLevel: Check<number> = (value, name) =>
  value === -1 || (value >= 1 && value <= 9) ? null : invalidValue(name, value, "Value must be between 1 and 9 or equal to -1");

/** NonEmptyString. */
export const notEmpty: Check<string> = (value, name) =>
  value === "" ? invalidValue(name, value, "String must be non-empty") : null;

/** ConfigDef.parseValue: a value's text as its type says, checked, or what is wrong with it. */
export function parseConfig(key: ConfigKey, text: string): ParsedConfig | string {
  const parsed = parseType(key, text);
  if (typeof parsed === "string") return parsed;
  return (key.check as Check<unknown>)(parsed.value, key.name, parsed.text) ?? parsed;
}

/** The same without the config's own check. */
export function parseType({ name, type, check }: ConfigKey, text: string): ParsedConfig | string {
  const trimmed = text.trim();
  switch (type) {
    case "BOOLEAN": {
      const word = trimmed.toLowerCase();
      if (word === "true" || word === "false") return { value: word === "true", text: word };
      return invalidValue(name, text, "Expected value to be either true or false");
    }
    case "INT":
    case "SHORT":
    case "LONG": {
      const exact = /^[+-]?\d+$/.test(trimmed) ? BigInt(trimmed) : null;
      const bits = { SHORT: 16, INT: 32, LONG: 64 }[type];
      if (exact === null || BigInt.asIntN(bits, exact) !== exact) return invalidValue(name, text, `Not a number of type ${type}`);
      return { value: Number(exact), text: String(exact) };
    }
    case "DOUBLE": {
      if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(trimmed))
        return invalidValue(name, text, "Not a number of type DOUBLE");
      return { value: Number(trimmed), text: doubleText(Number(trimmed)) };
    }
    case "LIST": {
      const all = trimmed === "" ? [] : trimmed.split(/\s*,\s*/);
      const values = validLists.has(check) ? [...new Set(all)] : all;
      return { value: values, text: values.join(",") };
    }
    case "STRING":
    case "CLASS": // Java would load it; here nothing does, so any name is kept
    case "PASSWORD":
      return { value: trimmed, text: trimmed };
  }
}

/** A whole number as Java writes it; LONG_MAX exactly. */
export const numberText = (value: number): string => (value >= LONG_MAX ? "9223372036854775807" : String(value));

/** ConfigDef.convertToString of a value that `parseConfig` gives. */
export function configText(type: ConfigType, value: unknown): string {
  if (Array.isArray(value)) return value.join(",");
  if (typeof value === "number") return type === "DOUBLE" ? doubleText(value) : numberText(value);
  return String(value);
}
