/**
 * Owns the codecs: turns one schema at one version into straight-line encode and decode functions with `new Function`, on first
 * use, and keeps them. The generated code refers to nothing of ours but the methods of Reader and Writer, so it survives minifying.
 */
import { OutOfBounds, Reader } from "../bytes/reader.ts";
import type { Writer } from "../bytes/writer.ts";
import { MalformedError } from "./errors.ts";
import {
  type AnyApi,
  type AnyField,
  type Api,
  covers,
  type Data,
  type Erased,
  type Fields,
  type Infer,
  type Input,
} from "./schema.ts";

/** Both directions of one message at one version. Byte fields that `decode` gives are views of what it read. */
export interface Codec<F extends Fields> {
  /** Reads from `r.at`; bytes after the message are left alone, as Kafka does. Throws MalformedError. */
  decode(r: Reader): Infer<F>;
  /** Throws RangeError for a value that does not fit its field. */
  encode(w: Writer, message: Input<F>): void;
}

type Decode = (r: Reader) => unknown;
type Encode = (w: Writer, message: unknown) => void;

/** What is compiled: a schema, at a version, known in error messages by a label. */
interface Target {
  readonly label: string;
  readonly fields: Fields;
  readonly version: number;
  readonly flexible: boolean;
}

const cache = new Map<Fields, (Codec<Erased> | undefined)[]>();

/** The codec of an API's request; a version that is not declared is a RangeError. */
export const requestCodec = <Q extends Fields>(api: Api<Q, Erased>, version: number): Codec<Q> =>
  cache.get(api.request)?.[version] ?? make(`${api.name} request`, api.request, api, version);

/** The codec of an API's response; a version that is not declared is a RangeError. */
export const responseCodec = <S extends Fields>(api: Api<Erased, S>, version: number): Codec<S> =>
  cache.get(api.response)?.[version] ?? make(`${api.name} response`, api.response, api, version);

/** The codec of a message that is not an API; a version that is not declared is a RangeError. */
export const dataCodec = <F extends Fields>(data: Data<F>, version: number): Codec<F> =>
  cache.get(data.fields)?.[version] ?? make(data.name, data.fields, data, version);

function make(name: string, fields: Fields, of: AnyApi | Data<Erased>, version: number): Codec<Erased> {
  if (!covers(of.declared, version)) throw new RangeError(`${name} has no version ${version}`);
  const codec = compile({ label: `${name} v${version}`, fields, version, flexible: covers(of.flexible, version) });
  const versions = cache.get(fields) ?? [];
  versions[version] = codec;
  cache.set(fields, versions);
  return codec;
}

function compile(target: Target): Codec<Erased> {
  const read = compileDecode(target, null);
  const locate = compileLocate(target);
  return {
    decode(r) {
      const { at, itemsLeft } = r;
      try {
        return read(r) as never;
      } catch (error) {
        if (!(error instanceof OutOfBounds)) throw error;
        throw new MalformedError(`${target.label}: ${error.message} at byte ${r.at}, field ${locate(r, at, itemsLeft)}`);
      }
    },
    encode: compileEncode(target),
  };
}

/** Names the field at which a message fails, by decoding it once more with tracing code: good messages pay nothing for it. */
function compileLocate(target: Target): (r: Reader, at: number, itemsLeft: number) => string {
  let field = "";
  let read: Decode | null = null;
  return (r, at, itemsLeft) => {
    read ??= compileDecode(target, (name) => {
      field = name;
    });
    const again = new Reader(r.buf, at, r.limit);
    again.itemsLeft = itemsLeft;
    try {
      read(again);
    } catch {}
    return field;
  };
}

function compileDecode(target: Target, trace: ((field: string) => void) | null): Decode {
  const code = new DecodeSource(target, trace !== null);
  const main = code.reader(target.fields, "");
  const source = `"use strict";\n${code.functions.join("\n")}\nreturn ${main};\n//# sourceURL=kafka/${target.label}.decode.js`;
  return new Function("EMPTY", "trace", source)(Buffer.alloc(0), trace);
}

function compileEncode(target: Target): Encode {
  const code = new EncodeSource(target);
  const main = code.writer(target.fields);
  const source = `"use strict";\n${code.functions.join("\n")}\nreturn ${main};\n//# sourceURL=kafka/${target.label}.encode.js`;
  const unexpectedNull = (field: string): never => {
    throw new RangeError(`${target.label}: null in ${field}, which has none in this version`);
  };
  return new Function("unexpectedNull", source)(unexpectedNull);
}

type Entry = readonly [name: string, field: AnyField];

const entries = (fields: Fields): Entry[] => Object.entries(fields);
const inlineAt = (fields: Fields, version: number): Entry[] =>
  entries(fields).filter(([, field]) => field.tag === null && covers(field.versions, version));
const taggedAt = (fields: Fields, version: number): Entry[] =>
  entries(fields)
    .filter(([, field]) => field.tag !== null && covers(field.versions, version))
    .sort(([, a], [, b]) => a.tag! - b.tag!);

/** JavaScript for the value of a field that is not there. */
function fallback(field: AnyField): string {
  if (field.fallback !== undefined) return JSON.stringify(field.fallback);
  switch (field.kind) {
    case "array":
      return "[]";
    case "string":
      return '""';
    case "bool":
      return "false";
    case "bits64":
      return "0n";
    case "uuid":
      return '"AAAAAAAAAAAAAAAAAAAAAA"';
    case "bytes":
    case "records":
      return "EMPTY";
    case "struct":
      return `{ ${entries(field.of as Fields).map(([name, inner]) => `${name}: ${fallback(inner)}`)} }`;
    default:
      return "0";
  }
}

const FIXED_BYTES = {
  bool: 1,
  int8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  bits64: 8,
  float64: 8,
  uuid: 16,
} as const;

/** The fewest bytes that one value of a field can have: what an array's count is checked against. */
export function minBytes(field: AnyField, version: number, flexible: boolean): number {
  switch (field.kind) {
    case "string":
      return flexible ? 1 : 2;
    case "bytes":
    case "records":
    case "array":
      return flexible ? 1 : 4;
    case "struct": {
      if (covers(field.nullableVersions, version)) return 1;
      const inline = inlineAt(field.of as Fields, version);
      return inline.reduce((sum, [, inner]) => sum + minBytes(inner, version, flexible), flexible ? 1 : 0);
    }
    default:
      return FIXED_BYTES[field.kind];
  }
}

class DecodeSource {
  readonly functions: string[] = [];
  private readonly target: Target;
  private readonly traced: boolean;
  private serial = 0;

  constructor(target: Target, traced: boolean) {
    this.target = target;
    this.traced = traced;
  }

  /** Defines the function that reads a struct; gives its name. One object literal with all fields, so that all have one shape. */
  reader(fields: Fields, path: string): string {
    const name = `read${++this.serial}`;
    const { version, flexible } = this.target;
    const locals = entries(fields).map(([field, of]) => `let $${field} = ${fallback(of)};`);
    const inline = inlineAt(fields, version).map(([field, of]) => this.field(of, `$${field}`, path + field));
    const tags = flexible ? [this.tags(taggedAt(fields, version), path)] : [];
    const result = `return { ${entries(fields).map(([field]) => `${field}: $${field}`)} };`;
    this.functions.push(`function ${name}(r) {\n${[...locals, ...inline, ...tags, result].join("\n")}\n}`);
    return name;
  }

  /** Known tags in any order and any number, the last one wins, as in Kafka; unknown ones are skipped. */
  private tags(tagged: Entry[], path: string): string {
    const trace = this.trace(`${path}(tags)`);
    if (tagged.length === 0) return `${trace}r.skipTags();`;
    const cases = tagged.map(([name, of]) => {
      const value = this.field(of, `$${name}`, path + name);
      return `case ${of.tag}: { const end = r.at + size; ${value} r.endTag(${of.tag}, end); break; }`;
    });
    const choose = `switch (tag) { ${cases.join(" ")} default: r.skip(size); }`;
    return `${trace}for (let t = r.uvarint(); t > 0; t--) { const tag = r.uvarint(), size = r.uvarint(); ${choose} }`;
  }

  private trace(path: string): string {
    return this.traced ? `trace("${path}"); ` : "";
  }

  private field(of: AnyField, to: string, path: string): string {
    return this.trace(path) + this.value(of, to, path);
  }

  /** A statement that reads one value into the variable or element `to`. */
  private value(of: AnyField, to: string, path: string): string {
    const nullable = covers(of.nullableVersions, this.target.version);
    switch (of.kind) {
      case "string":
        return this.sized(of, "int16", nullable, to, (n) => `${to} = r.utf8(${n});`);
      case "bytes":
      case "records":
        return this.sized(of, "int32", nullable, to, (n) => `${to} = r.slice(${n});`);
      case "array":
        return this.sized(of, "int32", nullable, to, (n) => this.items(of.of as AnyField, n, to, path));
      case "struct": {
        const read = `${to} = ${this.reader(of.of as Fields, `${path}.`)}(r);`;
        const isNull = of.tag === null ? "r.int8() < 0" : "r.uvarint() === 0";
        return nullable ? `if (${isNull}) ${to} = null; else ${read}` : read;
      }
      default:
        return `${to} = r.${of.kind}();`;
    }
  }

  private sized(of: AnyField, wide: string, nullable: boolean, to: string, read: (length: string) => string): string {
    const n = `n${++this.serial}`;
    const length = this.target.flexible && of.followsFlexible ? "r.uvarint() - 1" : `r.${wide}()`;
    const onNull = nullable ? `${to} = null;` : "throw r.unexpectedNull();";
    return `{ const ${n} = ${length}; if (${n} < 0) ${onNull} else { ${read(n)} } }`;
  }

  private items(item: AnyField, n: string, to: string, path: string): string {
    const a = `a${++this.serial}`;
    const i = `i${this.serial}`;
    const { version, flexible } = this.target;
    const least = Math.max(1, minBytes(item, version, flexible));
    const each = this.value(item, `${a}[${i}]`, `${path}[]`);
    return `const ${a} = new Array(r.items(${n}, ${least})); for (let ${i} = 0; ${i} < ${n}; ${i}++) ${each} ${to} = ${a};`;
  }
}

class EncodeSource {
  readonly functions: string[] = [];
  private readonly target: Target;
  private serial = 0;

  constructor(target: Target) {
    this.target = target;
  }

  /** Defines the function that writes a struct; gives its name. */
  writer(fields: Fields): string {
    const name = `write${++this.serial}`;
    const { version, flexible } = this.target;
    const inline = inlineAt(fields, version).map((entry) => this.field(entry));
    const tags = flexible ? [this.tags(taggedAt(fields, version))] : [];
    this.functions.push(`function ${name}(w, m) {\n${[...inline, ...tags].join("\n")}\n}`);
    return name;
  }

  /** A tagged field is written only when it differs from its default, in the order of tags. */
  private tags(tagged: Entry[]): string {
    if (tagged.length === 0) return "w.uvarint(0);";
    const set = tagged.map(
      ([name, of]) => `const has_${name} = m.${name} !== undefined && !(${this.isDefault(of, `m.${name}`)});`,
    );
    const count = `w.uvarint(${tagged.map(([name]) => `(has_${name} ? 1 : 0)`).join(" + ")});`;
    const each = tagged.map(
      ([name, of]) =>
        `if (has_${name}) { const begin = w.beginTag(${of.tag}); ${this.value(of, `m.${name}`, name)} w.endTag(begin); }`,
    );
    return [...set, count, ...each].join("\n");
  }

  private isDefault(of: AnyField, from: string): string {
    if (of.fallback === null) return `${from} === null`;
    if (of.kind === "array" || of.kind === "bytes" || of.kind === "records") return `${from} !== null && ${from}.length === 0`;
    if (of.kind !== "struct") return `${from} === ${fallback(of)}`;
    const inner = inlineAt(of.of as Fields, this.target.version).concat(taggedAt(of.of as Fields, this.target.version));
    const each = inner.map(([name, field]) => `(${from}.${name} === undefined || ${this.isDefault(field, `${from}.${name}`)})`);
    return [`${from} !== null`, ...each].join(" && ");
  }

  private field([name, of]: Entry): string {
    const given = of.fallback === undefined ? `m.${name}` : `(m.${name} === undefined ? ${fallback(of)} : m.${name})`;
    return this.value(of, given, name);
  }

  /** A statement that writes the expression `from` as one value. */
  private value(of: AnyField, from: string, name: string): string {
    const { flexible } = this.target;
    const compact = flexible && of.followsFlexible;
    switch (of.kind) {
      case "string":
        return this.nullable(of, from, name, compact ? "w.uvarint(0);" : "w.int16(-1);", (v) =>
          compact ? `w.compactString(${v});` : `w.string(${v});`,
        );
      case "bytes":
      case "records":
        return this.nullable(of, from, name, compact ? "w.uvarint(0);" : "w.int32(-1);", (v) =>
          compact ? `w.compactBytes(${v});` : `w.sizedBytes(${v});`,
        );
      case "array":
        return this.nullable(of, from, name, compact ? "w.uvarint(0);" : "w.int32(-1);", (v) =>
          this.items(of.of as AnyField, v, name),
        );
      case "struct": {
        const write = this.writer(of.of as Fields);
        const prefix = covers(of.nullableVersions, this.target.version) ? "w.int8(1); " : "";
        const none = of.tag === null ? "w.int8(-1);" : "w.uvarint(0);";
        return this.nullable(of, from, name, none, (v) => `${prefix}${write}(w, ${v});`);
      }
      default:
        return `w.${of.kind}(${from});`;
    }
  }

  private nullable(of: AnyField, from: string, name: string, onNull: string, write: (value: string) => string): string {
    const v = `v${++this.serial}`;
    if (of.nullableVersions === "none") return `{ const ${v} = ${from}; ${write(v)} }`;
    const handled = covers(of.nullableVersions, this.target.version) ? onNull : `unexpectedNull("${name}");`;
    return `{ const ${v} = ${from}; if (${v} === null) ${handled} else { ${write(v)} } }`;
  }

  private items(item: AnyField, v: string, name: string): string {
    const i = `i${++this.serial}`;
    const count = this.target.flexible ? `w.uvarint(${v}.length + 1);` : `w.int32(${v}.length);`;
    return `${count} for (let ${i} = 0; ${i} < ${v}.length; ${i}++) ${this.value(item, `${v}[${i}]`, name)}`;
  }
}
