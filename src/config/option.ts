/**
 * What one option is, and the kinds of value that it can have. A kind reads a value from text (environment, command line,
 * Kafka's names) and from TOML, says in words what it allows, and writes a value so that it reads back as the same.
 */

import { doubleText } from "./double-text.ts";

/** Java's Long.MAX_VALUE as a number: the double 2^63. Kafka's "no limit"; the only whole number above 2^53 that an option accepts. */
export const LONG_MAX = 2 ** 63;
/** Java's Integer.MAX_VALUE. */
export const INT_MAX = 2_147_483_647;

/** A host and a port. IPv6 hosts are kept without brackets. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** The values of one option. A refused value is `undefined`. */
export interface Kind<T> {
  /** What is allowed, as the end of "must be …". */
  readonly allowed: string;
  /** What stands for a value in `--help`. */
  readonly placeholder: string;
  /** Reads the text of an environment variable, a flag or a Kafka name. */
  parse(text: string): T | undefined;
  /** Reads a TOML value (integers are bigint); strict about its type. */
  fromToml(value: unknown): T | undefined;
  /** The text that `parse` reads back as the same value. */
  text(value: T): string;
  /** The TOML source that `fromToml` reads back as the same value. */
  toml(value: T): string;
}

/** A name that Kafka has for an option; `read` and `write` turn Kafka's text into ours and back where the notation or the unit differs. */
export interface KafkaName {
  readonly name: string;
  /** Kafka's text as the text that the option's kind parses, or undefined when it cannot be. */
  readonly read: (text: string) => string | undefined;
  /** Our text as Kafka's; null for a name by which the value is not told: one in a larger unit, or an older one of the same. */
  readonly write: ((text: string) => string) | null;
  /** What Kafka's notation allows, where it is not the kind's own. */
  readonly allowed?: string;
}

export interface Option<T> {
  /** Our place in the TOML file: "log.segment_bytes". */
  readonly key: string;
  readonly kind: Kind<T>;
  readonly default: T;
  /** For operators: one or more full sentences without markup. */
  readonly doc: string;
  readonly kafka: readonly KafkaName[];
}

const same = (text: string): string => text;

/** Declares an option; plain strings in `kafka` are names with the same unit and notation as ours. */
export function option<T>(
  key: string,
  kind: Kind<T>,
  defaultValue: NoInfer<T>,
  doc: string,
  kafka: readonly (string | KafkaName)[] = [],
): Option<T> {
  const names = kafka.map((name) => (typeof name === "string" ? { name, read: same, write: same } : name));
  return { key, kind, default: defaultValue, doc, kafka: names };
}

/** Writes a whole number as Kafka does: LONG_MAX exactly, not as its nearest double. */
export const integerText = (value: number): string => (value >= LONG_MAX ? "9223372036854775807" : String(value));

/** Reads a whole decimal number; undefined when it is none, or is not exact as a double (but for Long.MAX). */
export function parseInteger(text: string): number | undefined {
  if (!/^[+-]?\d{1,19}$/.test(text)) return undefined;
  const exact = BigInt(text);
  if (exact === 9_223_372_036_854_775_807n) return LONG_MAX;
  const value = Number(exact);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** A whole number from `min` to `max`, both allowed; `unit` is only for people. */
export function integer(min: number, max: number, unit = "", placeholder = "NUMBER"): Kind<number> {
  const parse = (text: string): number | undefined => {
    const value = parseInteger(text);
    return value !== undefined && value >= min && value <= max ? value : undefined;
  };
  return {
    placeholder,
    allowed: `a whole number${unit} from ${integerText(min)} to ${integerText(max)}`,
    parse,
    fromToml: (value) => (typeof value === "bigint" ? parse(String(value)) : undefined),
    text: integerText,
    toml: integerText,
  };
}

export const bytes = (min: number, max: number = Number.MAX_SAFE_INTEGER): Kind<number> =>
  integer(min, max, " of bytes", "BYTES");
export const milliseconds = (min: number, max: number = LONG_MAX): Kind<number> => integer(min, max, " of milliseconds", "MS");

/** A number that may have a fraction, from `min` to `max`, both allowed. */
export function decimal(min: number, max: number): Kind<number> {
  const inRange = (value: number): number | undefined => (value >= min && value <= max ? value : undefined);
  return {
    placeholder: "NUMBER",
    allowed: `a number from ${doubleText(min)} to ${doubleText(max)}`,
    parse: (text) => (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(text) ? inRange(Number(text)) : undefined),
    fromToml: (value) => (typeof value === "number" || typeof value === "bigint" ? inRange(Number(value)) : undefined),
    text: doubleText,
    toml: doubleText,
  };
}

export const boolean: Kind<boolean> = {
  placeholder: "true|false",
  allowed: "true or false",
  parse: (text) => (text === "true" ? true : text === "false" ? false : undefined),
  fromToml: (value) => (typeof value === "boolean" ? value : undefined),
  text: String,
  toml: String,
};

/** One of a few words, spelled exactly so. */
export function oneOf<const W extends string>(...words: readonly W[]): Kind<W> {
  const parse = (text: string) => words.find((word) => word === text);
  return {
    placeholder: words.join("|"),
    allowed: words.length === 1 ? `"${words[0]}"` : `one of ${words.map((word) => `"${word}"`).join(", ")}`,
    parse,
    fromToml: (value) => (typeof value === "string" ? parse(value) : undefined),
    text: (value) => value,
    toml: (value) => JSON.stringify(value),
  };
}

/** Some of a few words, each once, at least one; their order may matter. */
export function someOf<const W extends string>(...words: readonly W[]): Kind<readonly W[]> {
  const known = (list: readonly unknown[]): readonly W[] | undefined => {
    const found = list.flatMap((each) => words.find((word) => word === each) ?? []);
    return list.length > 0 && found.length === list.length && new Set(found).size === found.length ? found : undefined;
  };
  return {
    placeholder: words.join(","),
    allowed: `a list of some of ${words.map((word) => `"${word}"`).join(", ")}`,
    parse: (text) => known(text.split(",").map((word) => word.trim())),
    fromToml: (value) => (Array.isArray(value) ? known(value) : undefined),
    text: (value) => value.join(","),
    toml: (value) => JSON.stringify(value),
  };
}

/** A path of the file system, kept as it was written. */
export const path: Kind<string> = {
  placeholder: "PATH",
  allowed: "a path",
  parse: (text) => (text === "" || text.includes("\0") ? undefined : text),
  fromToml: (value) => (typeof value === "string" ? path.parse(value) : undefined),
  text: (value) => value,
  toml: (value) => JSON.stringify(value),
};

const addressText = ({ host, port }: Address): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** Reads "host:port" or "[v6]:port"; undefined when it is neither. An empty host is left empty. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:/[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { host: match[1] ?? match[2] ?? "", port };
}

/** Where to listen. ":9092" is every address, port 0 any free port. */
export const listenAddress: Kind<Address> = {
  placeholder: "ADDRESS",
  allowed: 'an address with a port from 0 to 65535, such as "127.0.0.1:9092", "[::]:9092" or "0.0.0.0:9092"',
  parse(text) {
    const address = parseAddress(text);
    return address?.host === "" ? { host: "0.0.0.0", port: address.port } : address;
  },
  fromToml: (value) => (typeof value === "string" ? listenAddress.parse(value) : undefined),
  text: addressText,
  toml: (value) => JSON.stringify(addressText(value)),
};

/** An address that others can connect to, or null ("") for none. Wildcards are refused, as Kafka does. */
export const reachableAddress: Kind<Address | null> = {
  placeholder: "ADDRESS",
  allowed: 'an address that clients can reach, with a port from 1 to 65535, such as "kafka.example.org:9092", or "" for none',
  parse(text) {
    if (text === "") return null;
    const address = parseAddress(text);
    if (address === undefined || address.port === 0) return undefined;
    return ["", "0.0.0.0", "::", "::0"].includes(address.host) ? undefined : address;
  },
  fromToml: (value) => (typeof value === "string" ? reachableAddress.parse(value) : undefined),
  text: (value) => (value === null ? "" : addressText(value)),
  toml: (value) => JSON.stringify(value === null ? "" : addressText(value)),
};

/** A Kafka name in a larger unit: its whole number times `factor` is our value. */
export function scaled(name: string, factor: number, unit: string): KafkaName {
  return {
    name,
    read(text) {
      const value = parseInteger(text);
      return value === undefined ? undefined : integerText(value * factor);
    },
    write: null,
    allowed: `a whole number of ${unit}`,
  };
}

/** A Kafka name for which -1, in whatever unit, is no limit. */
export const orUnlimited = (name: KafkaName): KafkaName => ({
  ...name,
  read: (text) => (parseInteger(text) === -1 ? "-1" : name.read(text)),
});

/** Kafka's listener notation; quarkmq has one plaintext listener. */
export function listener(name: string): KafkaName {
  return {
    name,
    read: (text) => /^PLAINTEXT:\/\/(.*)$/i.exec(text.trim())?.[1],
    write: (text) => `PLAINTEXT://${text}`,
    allowed: 'one plaintext listener, such as "PLAINTEXT://localhost:9092"',
  };
}
