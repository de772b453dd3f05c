/**
 * Owns the vocabulary in which every Kafka message is declared once: fields with versions, nullability, defaults and tags. The
 * TypeScript types of messages are inferred from the declarations; compile.ts turns them into codecs.
 * Source of the concepts: Kafka's clients/src/main/resources/common/message/README.md.
 */

import type { Chunk } from "../bytes/chunks.ts";

/** As in Kafka's schemas: "3", "3-7", "3+" (from 3 on), "none". */
export type Versions = `${number}+` | `${number}-${number}` | `${number}` | "none";

export type ScalarKind = "bool" | "int8" | "int16" | "uint16" | "int32" | "uint32" | "int64" | "bits64" | "float64" | "uuid";
export type Kind = ScalarKind | "string" | "bytes" | "records" | "array" | "struct";

/** Kafka's Uuid.ZERO_UUID: no topic id. */
export const ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA";

/** "Authorized operations were not asked for" (KIP-430). */
export const NO_OPERATIONS = -0x80000000;

/** Where the type of a field or message no longer matters. `unknown` would not do: fields are both read and written. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Erased = any;

export type AnyField = Field<Erased, boolean, Erased>;
export type Fields = { readonly [name: string]: AnyField };

/** One field of a message. Built by the functions below; immutable once the declaring module is loaded. */
export class Field<T, Optional extends boolean = false, In = T> {
  /** What a decoder gives, what an encoder takes, and whether an encoder may be given none: types only, never assigned. */
  declare readonly type: T;
  declare readonly input: In;
  declare readonly optional: Optional;
  readonly kind: Kind;
  /** The versions that have the field on the wire. */
  readonly versions: Versions;
  /** Of an array the item, of a struct its fields. */
  readonly of: AnyField | Fields | undefined;
  nullableVersions: Versions = "none";
  tag: number | null = null;
  /** undefined: zero, "", false, empty. */
  fallback: T | undefined = undefined;
  /** False for the one field that keeps its old encoding in flexible versions: clientId in the request header. */
  followsFlexible = true;
  doc = "";

  constructor(kind: Kind, versions: Versions, of?: AnyField | Fields) {
    this.kind = kind;
    this.versions = versions;
    this.of = of;
  }

  nullable(versions: Versions = this.versions): Field<T | null, Optional, In | null> {
    this.nullableVersions = versions;
    return this as unknown as Field<T | null, Optional, In | null>;
  }

  /** What decoders give in versions without the field, and encoders write when they are given none. */
  default(value: T): Field<T, true, In> {
    this.fallback = value;
    return this as unknown as Field<T, true, In>;
  }

  /** On the wire only in flexible versions, and only when it is not at its default (KIP-482). */
  tagged(tag: number): Field<T, true, In> {
    this.tag = tag;
    return this as unknown as Field<T, true, In>;
  }

  about(doc: string): this {
    this.doc = doc;
    return this;
  }

  /** The field keeps its old encoding in flexible versions. */
  inflexible(): this {
    this.followsFlexible = false;
    return this;
  }
}

/** What a decoder returns: every field of every version, those that are not on the wire at their default. */
export type Infer<F extends Fields> = { -readonly [K in keyof F]: F[K]["type"] };
/** What an encoder takes: fields with a default may be left out; fields that the version lacks are ignored. */
export type Input<F extends Fields> = {
  [K in keyof F as F[K]["optional"] extends true ? never : K]: F[K]["input"];
} & { [K in keyof F as F[K]["optional"] extends true ? K : never]?: F[K]["input"] | undefined };

const scalar =
  <T>(kind: ScalarKind) =>
  (versions: Versions = "0+"): Field<T> =>
    new Field<T>(kind, versions);

export const bool = scalar<boolean>("bool");
export const int8 = scalar<number>("int8");
export const int16 = scalar<number>("int16");
export const uint16 = scalar<number>("uint16");
export const int32 = scalar<number>("int32");
export const uint32 = scalar<number>("uint32");
/** |value| ≤ 2^53, or LONG_MAX / LONG_MIN of bytes/reader.ts; all else is refused in both directions. */
export const int64 = scalar<number>("int64");
/** All 64 bits as a signed bigint: for what is not counted with, such as hashes. */
export const bits64 = scalar<bigint>("bits64");
export const float64 = scalar<number>("float64");
/** 22 characters of base64url, as Kafka prints topic ids. */
export const uuid = scalar<string>("uuid");
export const string = (versions: Versions = "0+"): Field<string> => new Field<string>("string", versions);
/** Decoded as a view of the frame. */
export const bytes = (versions: Versions = "0+"): Field<Buffer, false, Uint8Array> => new Field("bytes", versions);
/** Record batches: decoded as a view of the frame, encoded from one or several chunks, which are referenced. */
export const records = (versions: Versions = "0+"): Field<Buffer, false, Uint8Array | readonly Chunk[]> =>
  new Field("records", versions);

export function array<T, In>(of: Field<T, boolean, In>, versions?: Versions): Field<T[], false, In[]>;
export function array<F extends Fields>(of: F, versions?: Versions): Field<Infer<F>[], false, Input<F>[]>;
export function array(of: AnyField | Fields, versions: Versions = "0+"): Field<unknown[]> {
  return new Field("array", versions, of instanceof Field ? of : new Field("struct", "0+", of));
}

export const struct = <F extends Fields>(of: F, versions: Versions = "0+"): Field<Infer<F>, false, Input<F>> =>
  new Field("struct", versions, of);

/** Whether a message has byte fields anywhere, in any version: decoded ones are views of the frame. */
export function hasBytes(fields: Fields): boolean {
  return Object.values(fields).some(holdsBytes);
}

const holdsBytes = ({ kind, of }: AnyField): boolean =>
  kind === "bytes" || kind === "records" || (of instanceof Field ? holdsBytes(of) : of !== undefined && hasBytes(of));

/** Whether a version lies in a range. */
export function covers(versions: Versions, version: number): boolean {
  const range = parseVersions(versions);
  return range !== null && version >= range.min && version <= range.max;
}

export interface VersionRange {
  readonly min: number;
  /** Included; Infinity for an open range. */
  readonly max: number;
}

/** Parsed once each: ranges are asked for with every request, and there are only those that are written in declarations. */
const parsed = new Map<Versions, VersionRange | null>();

/** The ends of a range; null for "none". */
export function parseVersions(versions: Versions): VersionRange | null {
  let range = parsed.get(versions);
  if (range === undefined) {
    range = parse(versions);
    parsed.set(versions, range);
  }
  return range;
}

function parse(versions: Versions): VersionRange | null {
  if (versions === "none") return null;
  if (versions.endsWith("+")) return { min: Number(versions.slice(0, -1)), max: Number.POSITIVE_INFINITY };
  const [min, max] = versions.split("-").map(Number);
  return { min: min!, max: max ?? min! };
}

/** One Kafka API: request and response, in all versions that Kafka has a schema for (what we serve is the handler's matter). */
export interface Api<Q extends Fields, S extends Fields> {
  readonly key: number;
  readonly name: string;
  /** Closed: "0-13". */
  readonly declared: Versions;
  /** The versions with compact lengths and tagged fields (KIP-482), bodies and headers alike. */
  readonly flexible: Versions;
  readonly request: Q;
  readonly response: S;
}

export type AnyApi = Api<Erased, Erased>;

export const api = <Q extends Fields, S extends Fields>(declaration: Api<Q, S>): Api<Q, S> => declaration;

/** A message that is not an API: headers, coordinator records, what clients put in opaque fields. */
export interface Data<F extends Fields> {
  readonly name: string;
  readonly declared: Versions;
  readonly flexible: Versions;
  readonly fields: F;
  /** Of a coordinator record's key: the int16 that stands before it and names the record (CoordinatorRecordType). */
  readonly recordType?: number;
}

export const data = <F extends Fields>(declaration: Data<F>): Data<F> => declaration;

/** Decoded. */
export type Request<A extends AnyApi> = Infer<A["request"]>;
export type Response<A extends AnyApi> = Infer<A["response"]>;
/** To encode. */
export type RequestInput<A extends AnyApi> = Input<A["request"]>;
export type ResponseInput<A extends AnyApi> = Input<A["response"]>;
export type DataOf<D extends Data<Erased>> = Infer<D["fields"]>;
export type DataInput<D extends Data<Erased>> = Input<D["fields"]>;
