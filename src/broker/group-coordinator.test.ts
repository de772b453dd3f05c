import { describe, expect, test } from "bun:test";
import { partitionOf } from "./group-coordinator.ts";

describe("the partition of a group", () => {
  // From Java: Utils.abs(groupId.hashCode()) % n. The hash of "polygenelubricants" is Integer.MIN_VALUE.
  const cases: [string, number, number][] = [
    ["", 0, 0],
    ["g", 3, 5],
    ["my-group", 12, 1],
    ["polygenelubricants", 0, 0],
    ["console-consumer-12345", 6, 6],
    ["группа", 8, 2],
    ["😀", 49, 2],
  ];
  for (const [groupId, of50, of7] of cases) {
    test(`"${groupId}"`, () => {
      expect(partitionOf(groupId, 50)).toBe(of50);
      expect(partitionOf(groupId, 7)).toBe(of7);
    });
  }
});
