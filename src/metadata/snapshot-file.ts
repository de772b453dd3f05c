/**
 * The file that bounds the replay of the metadata log: the whole state at one revision. Big-endian:
 *
 *   magic "qmqmeta\0"  | version u32 | rev u64 | entries u32
 *   entry: key (u32 length, UTF-8) | session (u32 length, UTF-8) | create u64 | mod u64 | value (u32 length, bytes)
 *   CRC-32C u32 over everything before it
 *
 * It is replaced as a whole (write beside, sync, rename, sync the directory), so a crash leaves the old one or the new one.
 */
import { crc32c } from "../bytes/crc32c.ts";
import { type Disk, readWholeFile } from "../io/disk.ts";
import { type Entry, KvState } from "./kv-state.ts";

const MAGIC = Buffer.from("qmqmeta\0", "latin1");
const VERSION = 1;
const HEADER_BYTES = MAGIC.length + 4 + 8 + 4;
const CRC_BYTES = 4;
/** An entry without its key, session and value. */
const ENTRY_BYTES = 3 * 4 + 2 * 8;

/** A snapshot that cannot be used: the message names the file and says what is wrong with it. */
export class BadSnapshot extends Error {
  override name = "BadSnapshot";
}

/** The state of the file, or an empty one at revision 0 when there is no file. Throws BadSnapshot, and DiskError. */
export function readSnapshot(disk: Disk, path: string): KvState {
  const bytes = readWholeFile(disk, path);
  if (bytes === null) return new KvState();
  return decodeSnapshot(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), path);
}

/** The bytes of the file, for `replaceFile`: the state as it is now. */
export function encodeSnapshot(state: KvState): Buffer {
  const entries = state
    .under("")
    .map((entry) => ({ ...entry, key: Buffer.from(entry.kv.key), session: Buffer.from(entry.session) }));
  let size = HEADER_BYTES + CRC_BYTES;
  for (const { kv, key, session } of entries) size += ENTRY_BYTES + key.length + session.length + kv.value.length;
  const out = Buffer.allocUnsafe(size);
  MAGIC.copy(out);
  let at = out.writeUInt32BE(VERSION, MAGIC.length);
  at = out.writeBigUInt64BE(state.rev, at);
  at = out.writeUInt32BE(entries.length, at);
  for (const { kv, key, session } of entries) {
    at = writeBytes(out, at, key);
    at = writeBytes(out, at, session);
    at = out.writeBigUInt64BE(kv.create, at);
    at = out.writeBigUInt64BE(kv.mod, at);
    at = writeBytes(out, at, kv.value);
  }
  out.writeUInt32BE(crc32c(out, 0, at), at);
  return out;
}

/** `name` is for the messages of BadSnapshot. Values are copied out of `bytes`. */
export function decodeSnapshot(bytes: Buffer, name: string): KvState {
  const bad = (what: string) => new BadSnapshot(`${name}: ${what}`);
  if (bytes.length < HEADER_BYTES + CRC_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    throw bad("not a metadata snapshot");
  const version = bytes.readUInt32BE(MAGIC.length);
  if (version > VERSION) throw bad(`written by a newer quarkmq (format ${version}, this one reads up to ${VERSION})`);
  const end = bytes.length - CRC_BYTES;
  if (bytes.readUInt32BE(end) !== crc32c(bytes, 0, end)) throw bad("the checksum does not match: the file is damaged");
  const state = new KvState(bytes.readBigUInt64BE(MAGIC.length + 4));
  const count = bytes.readUInt32BE(HEADER_BYTES - 4);
  let at = HEADER_BYTES;
  const take = (): Buffer => {
    const start = at + 4;
    at = start + bytes.readUInt32BE(at);
    return bytes.subarray(start, at);
  };
  for (let n = 0; n < count; n++) {
    const key = take().toString();
    const session = take().toString();
    const create = bytes.readBigUInt64BE(at);
    const mod = bytes.readBigUInt64BE(at + 8);
    at += 16;
    const entry: Entry = { kv: { key, create, mod, value: new Uint8Array(take()) }, session };
    state.restore(entry);
  }
  if (at !== end) throw bad("the entries do not end where the file does");
  return state;
}

function writeBytes(out: Buffer, start: number, bytes: Uint8Array): number {
  const at = out.writeUInt32BE(bytes.length, start);
  out.set(bytes, at);
  return at + bytes.length;
}
