/**
 * CRC-32C (Castagnoli), the checksum of record batches. Slicing-by-16: sixteen bytes a step through sixteen tables of 1 KiB.
 * The tables are separate constants because JSC then knows each one's length and loads without a second indirection.
 */

const POLYNOMIAL_REVERSED = 0x82f63b78;

/** Table k maps a byte to the CRC of that byte followed by k zero bytes. */
function buildTables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL_REVERSED : crc >>> 1;
    first[byte] = crc;
  }
  const tables = [first];
  for (let k = 1; k < 16; k++) tables.push(tables[k - 1]!.map((crc) => first[crc & 0xff]! ^ (crc >>> 8)));
  return tables;
}

const tables = buildTables();
const T0 = tables[0]!;
const T1 = tables[1]!;
const T2 = tables[2]!;
const T3 = tables[3]!;
const T4 = tables[4]!;
const T5 = tables[5]!;
const T6 = tables[6]!;
const T7 = tables[7]!;
const T8 = tables[8]!;
const T9 = tables[9]!;
const T10 = tables[10]!;
const T11 = tables[11]!;
const T12 = tables[12]!;
const T13 = tables[13]!;
const T14 = tables[14]!;
const T15 = tables[15]!;

/**
 * The CRC-32C of `bytes[start, end)` as an unsigned 32-bit number. `start` and `end` must lie within the bytes.
 * `previous` is the CRC of what came before, to go on over several chunks (0 at the beginning).
 */
export function crc32c(bytes: Uint8Array, start = 0, end: number = bytes.length, previous = 0): number {
  let crc = ~previous;
  let at = start;
  const bulkEnd = end - 15;
  for (; at < bulkEnd; at += 16) {
    crc =
      T15[(crc ^ bytes[at]!) & 0xff]! ^
      T14[((crc >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
      T13[((crc >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
      T12[(crc >>> 24) ^ bytes[at + 3]!]! ^
      T11[bytes[at + 4]!]! ^
      T10[bytes[at + 5]!]! ^
      T9[bytes[at + 6]!]! ^
      T8[bytes[at + 7]!]! ^
      T7[bytes[at + 8]!]! ^
      T6[bytes[at + 9]!]! ^
      T5[bytes[at + 10]!]! ^
      T4[bytes[at + 11]!]! ^
      T3[bytes[at + 12]!]! ^
      T2[bytes[at + 13]!]! ^
      T1[bytes[at + 14]!]! ^
      T0[bytes[at + 15]!]!;
  }
  for (; at < end; at++) crc = T0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
