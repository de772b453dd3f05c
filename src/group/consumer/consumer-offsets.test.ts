/** Who may commit and fetch; the end-to-end test asks Kafka the same. */
import { expect, test } from "bun:test";
import { Scenario } from "../scenario.ts";

/** A has t-0 and t-1 since epoch 2 and u-0 since epoch 3, which is its own. */
function scenario(): Scenario {
  const s = new Scenario();
  s.topics.set({ t: 2, u: 1 });
  s.joinConsumer("A").at(5000).beat("A", { topics: "t u" });
  s.heard();
  return s;
}

const item = (s: Scenario, topic: string, offset: number) => ({ topic, topicId: s.topics.topicByName(topic)!.id, offset });

test("members commit with their epoch, or with an older one for what they have had since then", () => {
  const s = scenario();
  const commit = (generationId: number, ...topics: string[]): string =>
    s.commit("A", topics.map((topic) => item(s, topic, 7)), { generationId }).heard().at(-1)!; // biome-ignore format: one call
  expect(commit(3, "t", "u")).toBe("A < commit NONE NONE");
  expect(commit(2, "t")).toBe("A < commit NONE");
  expect(commit(2, "t", "u")).toBe("A < commit STALE_MEMBER_EPOCH STALE_MEMBER_EPOCH");
  expect(commit(1, "t")).toBe("A < commit STALE_MEMBER_EPOCH");
  expect(commit(4, "t")).toBe("A < commit STALE_MEMBER_EPOCH");
  expect(commit(-1, "t")).toBe("A < commit STALE_MEMBER_EPOCH");
});

test("others do not, unless the group is empty", () => {
  const s = scenario();
  expect(s.commit("B", [item(s, "t", 7)], { memberId: "B", generationId: 3 }).heard()).toEqual(["B < commit UNKNOWN_MEMBER_ID"]);
  expect(s.commit("tool", [item(s, "t", 7)]).heard()).toEqual(["tool < commit UNKNOWN_MEMBER_ID"]);
  expect(s.commit("A", [item(s, "t", 7)], { generationId: 3, knowsGroupIdNotFound: false }).heard()).toEqual([
    "A < commit UNSUPPORTED_VERSION",
  ]);
  s.beat("A", { memberEpoch: -1 });
  s.heard();
  expect(
    s
      .commit("tool", [item(s, "t", 7)])
      .heard()
      .at(-1),
  ).toBe("tool < commit NONE");
});

test("what was put out commits no more", () => {
  const s = scenario();
  s.at(60_000);
  s.heard();
  expect(s.commit("A", [item(s, "t", 7)], { generationId: 3 }).heard()).toEqual(["A < commit UNKNOWN_MEMBER_ID"]);
});

test("metadata that is too long does not count for the rest", () => {
  const s = scenario();
  const items = [item(s, "t", 7), { ...item(s, "u", 7), metadata: "x".repeat(4097) }];
  expect(s.commit("A", items, { generationId: 2 }).heard().at(-1)).toBe("A < commit NONE OFFSET_METADATA_TOO_LARGE");
});

test("members fetch with their epoch, anybody without one", () => {
  const s = scenario();
  s.commit("A", [item(s, "t", 7)], { generationId: 3 });
  s.heard();
  const fetch = (memberId: string | null, memberEpoch: number): string[] => s.fetch("x", null, { memberId, memberEpoch }).heard();
  expect(fetch(null, -1)).toEqual(["x < fetch t-0=7/-1/"]);
  expect(fetch("A", 3)).toEqual(["x < fetch t-0=7/-1/"]);
  expect(fetch("A", 2)).toEqual(["x < fetch STALE_MEMBER_EPOCH"]);
  expect(fetch("A", -1)).toEqual(["x < fetch STALE_MEMBER_EPOCH"]);
  expect(fetch("B", 3)).toEqual(["x < fetch UNKNOWN_MEMBER_ID"]);
});

test("a transaction commits for a member, or for nobody in particular", () => {
  const s = scenario();
  const commit = (options: object): string =>
    s.commitInTransaction("A", [item(s, "t", 7)], { memberId: "A", generationId: 3, ...options }).heard().at(-1)!; // biome-ignore format: one call
  expect(commit({})).toBe("A < transactional-commit NONE");
  expect(commit({ generationId: 2 })).toBe("A < transactional-commit NONE");
  expect(commit({ generationId: 1 })).toBe("A < transactional-commit STALE_MEMBER_EPOCH");
  expect(commit({ generationId: 1, knowsGroupIdNotFound: false })).toBe("A < transactional-commit ILLEGAL_GENERATION");
  expect(commit({ memberId: "B" })).toBe("A < transactional-commit UNKNOWN_MEMBER_ID");
  expect(commit({ memberId: "", generationId: -1 })).toBe("A < transactional-commit NONE");
});
