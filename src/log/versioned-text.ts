/**
 * Small text files of our own: a version, some values, and a checksum over both. One "name: value" a line:
 *
 *   version: 1
 *   incarnation: 7
 *   checksum: 1a2b3c4d        (CRC32C of all bytes before this line, in hex)
 */
import { crc32c } from "../bytes/crc32c.ts";

/** A file of a newer version than this program knows: it refuses to start rather than to guess. */
export class NewerFormat extends Error {
  override name = "NewerFormat";
}

const checksumOf = (text: string): string => crc32c(Buffer.from(text, "utf8")).toString(16).padStart(8, "0");

/** The bytes of a file with these values, in the order given. */
export function encodeVersionedText(version: number, values: Readonly<Record<string, string | number>>): Buffer {
  const lines = [`version: ${version}`, ...Object.entries(values).map(([name, value]) => `${name}: ${value}`)];
  const text = `${lines.join("\n")}\n`;
  return Buffer.from(`${text}checksum: ${checksumOf(text)}\n`, "utf8");
}

/** The values of a file, or null if it is damaged. Throws NewerFormat if its version is above `newestVersion`. */
export function decodeVersionedText(path: string, bytes: Uint8Array, newestVersion: number): Map<string, string> | null {
  const text = Buffer.from(bytes).toString("utf8");
  const end = text.lastIndexOf("checksum: ");
  if (end < 0 || text.slice(end) !== `checksum: ${checksumOf(text.slice(0, end))}\n`) return null;
  const values = new Map<string, string>();
  for (const line of text.slice(0, end).split("\n").slice(0, -1)) {
    const colon = line.indexOf(": ");
    values.set(line.slice(0, colon), line.slice(colon + 2));
  }
  const version = Number(values.get("version"));
  if (!Number.isInteger(version)) return null;
  if (version > newestVersion) throw new NewerFormat(`${path} has version ${version}; this program knows up to ${newestVersion}`);
  return values;
}
