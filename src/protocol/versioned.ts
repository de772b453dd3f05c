/**
 * Owns the int16 that stands before coordinator records, the consumer protocol, snapshots and control records: a version, or in the
 * key of a coordinator record its type. Source: MessageUtil.toVersionPrefixedBytes, CoordinatorRecordSerde.
 */
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { dataCodec } from "./compile.ts";
import { MalformedError } from "./errors.ts";
import { type Data, type Fields, type Infer, type Input, parseVersions } from "./schema.ts";

/** Keys have one version: another form of a key is another record type. */
const KEY_VERSION = 0;

/** int16 version, then the message; bytes of its own. */
export function encodeVersioned<F extends Fields>(data: Data<F>, version: number, value: Input<F>): Uint8Array {
  const w = new Writer(128);
  w.int16(version);
  dataCodec(data, version).encode(w, value);
  return w.finishOne();
}

/** The key of a coordinator record: int16 record type, then the message at its only version; bytes of its own. */
export function encodeKey<F extends Fields>(data: Data<F>, value: Input<F>): Uint8Array {
  const w = new Writer(128);
  w.int16(recordType(data));
  dataCodec(data, KEY_VERSION).encode(w, value);
  return w.finishOne();
}

/** Byte fields are views of `buf`. Throws MalformedError, also for a key of another record type: ask `versionOf` first. */
export function decodeKey<F extends Fields>(data: Data<F>, buf: Uint8Array): Infer<F> {
  const type = versionOf(buf);
  if (type !== recordType(data)) throw new MalformedError(`record type ${type} is not that of ${data.name}`);
  return dataCodec(data, KEY_VERSION).decode(new Reader(buf, 2));
}

function recordType(data: Data<Fields>): number {
  if (data.recordType === undefined) throw new RangeError(`${data.name} is not a record's key`);
  return data.recordType;
}

/** The int16 that `buf` begins with: a version, or the type of a coordinator record's key. Throws MalformedError. */
export function versionOf(buf: Uint8Array): number {
  if (buf.byteLength < 2) throw new MalformedError(`a versioned message of ${buf.byteLength} bytes`);
  return (((buf[0]! << 8) | buf[1]!) << 16) >> 16;
}

/** Byte fields are views of `buf`. Throws MalformedError, also for a version that is not declared. */
export function decodeVersioned<F extends Fields>(data: Data<F>, buf: Uint8Array): Infer<F> {
  const version = versionOf(buf);
  const { min, max } = parseVersions(data.declared)!;
  if (version < min || version > max) throw new MalformedError(`${data.name} has no version ${version}`);
  return dataCodec(data, version).decode(new Reader(buf, 2));
}
