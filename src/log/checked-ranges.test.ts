import { expect, test } from "bun:test";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { CheckedRanges } from "./checked-ranges.ts";

test("agrees with a set of bytes", () => {
  const random = new SeededRandom(11);
  for (let round = 0; round < 50; round++) {
    const ranges = new CheckedRanges();
    const bytes = new Uint8Array(200);
    for (let i = 0; i < 40; i++) {
      const from = random.int(200);
      const to = from + random.int(200 - from + 1);
      if (random.chance(0.1)) {
        ranges.truncate(from);
        bytes.fill(0, from);
      } else {
        ranges.add(from, to);
        bytes.fill(1, from, to);
      }
      const low = random.int(199);
      const high = low + 1 + random.int(199 - low);
      expect(ranges.covers(low, high)).toBe(bytes.subarray(low, high).every((byte) => byte === 1));
    }
  }
});

test("is bounded: the smallest range is forgotten", () => {
  const ranges = new CheckedRanges();
  ranges.add(0, 1);
  for (let i = 1; i < 1000; i++) ranges.add(i * 100, i * 100 + 50);
  expect(ranges.covers(0, 1)).toBeFalse();
  expect(ranges.covers(99_900, 99_950)).toBeTrue();
});
