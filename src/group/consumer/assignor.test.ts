/** The oracle is Kafka's own assignors: test/fixtures/consumer-group. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { type Assignment, assignmentOf, countOf, NO_PARTITIONS } from "./assignment.ts";
import type { AssignorGroup, AssignorMember, TargetAssignment } from "./assignor.ts";
import { rangeAssignor } from "./range-assignor.ts";
import { uniformAssignor } from "./uniform-assignor.ts";

interface Line {
  readonly assignor: string;
  readonly homogeneous: boolean;
  readonly counts: Record<string, number>;
  readonly members: readonly {
    readonly id: string;
    readonly instance: string | null;
    readonly topics: readonly string[];
    readonly before: Record<string, number[]>;
    readonly after: Record<string, number[]>;
  }[];
}

const fixture = join(import.meta.dir, "../../../test/fixtures/consumer-group/assignments.jsonl.gz");
const lines: Line[] = gunzipSync(readFileSync(fixture))
  .toString()
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

const plain = (assignment: Assignment | undefined): Record<string, readonly number[]> => Object.fromEntries(assignment ?? []);

function groupOf({ members, homogeneous, counts }: Line): AssignorGroup {
  return {
    isHomogeneous: homogeneous,
    partitionCount: (topicId) => counts[topicId]!,
    members: members.map(({ id, instance, topics, before }) => ({
      memberId: id,
      instanceId: instance,
      topicIds: new Set(topics),
      assignment: new Map(Object.entries(before)),
    })),
  };
}

describe("assignors give what Kafka's give", () => {
  for (const assignor of [uniformAssignor, rangeAssignor]) {
    for (const homogeneous of [true, false]) {
      test(`${assignor.name}, ${homogeneous ? "all read the same" : "readers of different topics"}`, () => {
        const cases = lines.filter((line) => line.assignor === assignor.name && line.homogeneous === homogeneous);
        expect(cases.length).toBeGreaterThan(40);
        for (const line of cases) {
          const targets = assignor.assign(groupOf(line));
          for (const { id, after } of line.members) expect(plain(targets.get(id))).toEqual(after);
        }
      });
    }
  }

  test("nobody is given nothing", () => {
    const nobody: AssignorGroup = { members: [], isHomogeneous: true, partitionCount: () => 1 };
    for (const assignor of [uniformAssignor, rangeAssignor]) expect(assignor.assign(nobody).size).toBe(0);
  });
});

describe("large groups", () => {
  const topics = Array.from({ length: 20 }, (_, i) => Buffer.alloc(16, i + 1).toString("base64url"));

  function large(topicsOf: (member: number) => string[], before?: TargetAssignment): AssignorGroup {
    const members: AssignorMember[] = Array.from({ length: 1000 }, (_, i) => ({
      memberId: `member-${i}`,
      instanceId: null,
      topicIds: new Set(topicsOf(i)),
      assignment: before?.get(`member-${i}`) ?? NO_PARTITIONS,
    }));
    return { members, isHomogeneous: topicsOf(0).length === topicsOf(1).length, partitionCount: () => 500 };
  }

  for (const [what, topicsOf] of [
    ["alike", () => topics],
    ["mixed", (i: number) => topics.slice(i % 5)],
  ] as const) {
    test(`1,000 members of 10,000 partitions, ${what}`, () => {
      const targets = uniformAssignor.assign(large(topicsOf));
      const sizes = [...targets.values()].map(countOf);
      expect(sizes.reduce((sum, size) => sum + size)).toBe(10_000);
      const startMs = performance.now();
      const again = uniformAssignor.assign(large(topicsOf, targets));
      expect(performance.now() - startMs).toBeLessThan(1000);
      for (const [memberId, assignment] of again) expect(plain(assignment)).toEqual(plain(targets.get(memberId)));
    });
  }
});

test("a list of partitions is put in order", () => {
  const assignment = assignmentOf([
    { topicId: "b", partitions: [3, 1, 3] },
    { topicId: "a", partitions: [] },
    { topicId: "b", partitions: [2] },
  ]);
  expect(plain(assignment)).toEqual({ b: [1, 2, 3] });
});
