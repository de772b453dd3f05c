/** Memory for writes past the page cache, which take whole blocks only: of the file, and of memory. */
import { ptr } from "bun:ffi";
import { BLOCK_BYTES } from "./disk.ts";

/** A buffer of so many bytes, not cleared, that begins at a multiple of BLOCK_BYTES of the process's memory. */
export function blockBuffer(bytes: number): Buffer {
  const room = Buffer.allocUnsafeSlow(bytes + BLOCK_BYTES);
  const over = Number(ptr(room)) % BLOCK_BYTES;
  const from = over === 0 ? 0 : BLOCK_BYTES - over;
  return room.subarray(from, from + bytes);
}
