/**
 * Shortens bytes without changing their CRC-32C, sixteen at a time: a WebAssembly module, put together here.
 *
 * A CRC is the remainder of a polynomial: a byte that has n bytes behind it stands for that byte times x^8n. Since
 *
 *   1 + x^8(290-258) + x^8(290-183) + x^8(290-177) + x^8(290-154) + x^8(290)
 *
 * is a multiple of CRC-32C's polynomial, a byte may be taken away if it is added (xor) to the bytes 154, 177, 183, 258 and 290 behind it. From front
 * to back everything goes that way but the last bytes: no tables, and the same five xors for each of sixteen bytes at once. Offsets from 16
 * on would do; these are what a search of all fives from 128 on gave with the shortest reach. The idea is Chorba's (Russell, 2024).
 *
 * Done for sixteen bytes at `at` as: at ^= (at - 154) ^ (at - 177) ^ (at - 183) ^ (at - 258) ^ (at - 290). Memory, one page:
 *
 *   zeros (REACH) | bytes that are folded away (FOLD_MOST_BYTES), then zeros (REACH) | bytes that stay, with what was folded into them
 */

/** How far behind a byte it is added. */
export const FOLD_OFFSETS = [154, 177, 183, 258, 290] as const;

const VECTOR_BYTES = 16;
/** Of one turn of the loop: four vectors. */
const TURN_BYTES = 64;
/** The largest offset, in whole vectors. */
const REACH = 304;
/** Small enough to stay in the processor's nearest caches. */
const FOLD_MOST_BYTES = 32 * 1024;
const FOLDED_AT = REACH;
const LEFT_AT = FOLDED_AT + FOLD_MOST_BYTES + REACH;

/** Not to be used by two at a time. */
export interface Fold {
  /** What `run` leaves lies here, at `leftAt`. */
  readonly memory: Uint8Array;
  readonly leftAt: number;
  /** The most that can be folded at a time. */
  readonly mostBytes: number;
  /**
   * Folds `bytes[start, end)`, which begin with the CRC's register as it was before them: those that are left, from a register of zero, give the same CRC.
   * Returns how many they are. Takes at least REACH + TURN_BYTES bytes.
   */
  run(bytes: Uint8Array, start: number, end: number, register: number): number;
}

/** Null where there is no WebAssembly, or none with vectors. */
export function loadFold(): Fold | null {
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(foldModule()));
    return makeFold(exports as unknown as FoldExports);
  } catch {
    return null;
  }
}

interface FoldExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Folds the first `bytes`, whole turns. */
  fold(bytes: number): void;
}

function makeFold({ memory: { buffer }, fold }: FoldExports): Fold {
  const memory = new Uint8Array(buffer);
  const view = new DataView(buffer);
  return {
    memory,
    leftAt: LEFT_AT,
    mostBytes: FOLD_MOST_BYTES,
    run(bytes, start, end, register) {
      const folded = end - start - REACH - ((end - start - REACH) % TURN_BYTES);
      memory.set(bytes.subarray(start, start + folded), FOLDED_AT);
      memory.set(bytes.subarray(start + folded, end), LEFT_AT);
      view.setInt32(FOLDED_AT, view.getInt32(FOLDED_AT, true) ^ register, true);
      fold(folded);
      return end - start - folded;
    },
  };
}

// The module's bytes; see the WebAssembly specification, "Binary Format".

type Code = readonly number[];

/** LEB128, for numbers that are not negative. */
function number(value: number): Code {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...number(value >>> 7)];
}
/** The same of a number that might be: its highest bit says so. */
function signed(value: number): Code {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)];
}
const list = (items: readonly Code[]): Code => [...number(items.length), ...items.flat()];
const sized = (code: Code): Code => [...number(code.length), ...code];
const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
const name = (text: string): Code => sized([...Buffer.from(text)]);

const I32 = 0x7f;
const END: Code = [0x0b];
/** The function's parameter, and its only other variable: zero at first. */
const BYTES: Code = [0x20, 0];
const AT: Code = [0x20, 1];
const XOR: Code = [0xfd, 0x51];
const ZEROS: Code = [0xfd, 0x0c, ...new Array<number>(VECTOR_BYTES).fill(0)];
/** Of a vector at the address on the stack, plus `address`; aligned or not. */
const load = (address: number): Code => [0xfd, 0x00, 0, ...number(address)];
const store = (address: number): Code => [0xfd, 0x0b, 0, ...number(address)];

/** For as many vectors as `bytes` has: `make` is given where each of them begins. */
function vectors(bytes: number, make: (at: number) => Code): Code {
  const code: number[] = [];
  for (let at = 0; at < bytes; at += VECTOR_BYTES) code.push(...make(at));
  return code;
}

/** (into + from) ^= what is folded into the vector at FOLDED_AT + from; both as seen from the address in `base`. */
const foldInto = (into: number, base: Code, from: number): Code => [
  ...[...AT, ...AT, ...load(into)],
  ...FOLD_OFFSETS.flatMap((offset) => [...base, ...load(FOLDED_AT + from - offset), ...XOR]),
  ...store(into),
];

function foldModule(): Uint8Array<ArrayBuffer> {
  const body: Code = [
    ...[0x03, 0x40], // loop
    ...vectors(TURN_BYTES, (from) => foldInto(FOLDED_AT + from, AT, from)),
    ...[...AT, 0x41, ...signed(TURN_BYTES), 0x6a, 0x22, 1], // at += TURN_BYTES, and
    ...[...BYTES, 0x49, 0x0d, 0], // again while that is below `bytes`
    ...END,
    ...vectors(REACH, (from) => [...BYTES, ...ZEROS, ...store(FOLDED_AT + from)]),
    ...[0x41, 0, 0x21, 1], // at = 0
    ...vectors(REACH, (from) => foldInto(LEFT_AT + from, BYTES, from)),
    ...END,
  ];
  const oneVariable: Code = list([[1, I32]]);
  return new Uint8Array([
    ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
    ...section(1, [[0x60, ...list([[I32]]), ...list([])]]), // a type: (i32) → ()
    ...section(3, [[0]]), // one function, of that type
    ...section(5, [[1, 1, 1]]), // one memory, of one page at least and at most
    ...section(7, [
      [...name("fold"), 0, 0],
      [...name("memory"), 2, 0],
    ]),
    ...section(10, [sized([...oneVariable, ...body])]),
  ]);
}
