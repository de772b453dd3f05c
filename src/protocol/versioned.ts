/** Owns the int16 version that stands before coordinator records, the consumer protocol, snapshots and control records. */
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { dataCodec } from "./compile.ts";
import { MalformedError } from "./errors.ts";
import { type Data, type Fields, type Infer, type Input, parseVersions } from "./schema.ts";

/** int16 version, then the message; bytes of its own. */
export function encodeVersioned<F extends Fields>(data: Data<F>, version: number, value: Input<F>): Uint8Array {
  const w = new Writer(128);
  w.int16(version);
  dataCodec(data, version).encode(w, value);
  return w.finishOne();
}

/** The version that `buf` begins with: for keys, whose "version" says which record it is. Throws MalformedError. */
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
