/** Offsets within transactions. Expectations are Kafka's: OffsetMetadataManager.replay, replayEndTransactionMarker, commitTransactionalOffset. */
import { describe, expect, test } from "bun:test";
import type { GroupRecord } from "./durable.ts";
import { Scenario } from "./scenario.ts";

/** The marker of a producer's transaction, which the host writes and has applied. */
function end(scenario: Scenario, producerId: number, result: "commit" | "abort"): void {
  const record: GroupRecord = { kind: "transaction-end", producerId, result };
  scenario.log.push(record);
  scenario.shard.apply(record);
}

const member = { memberId: "", generationId: -1 };

/** A group that keeps offsets only; the producers 1 and 2 commit to t-0. */
function simple(): Scenario {
  const scenario = new Scenario();
  return scenario;
}

const inTransaction = (scenario: Scenario, producerId: number, offset: number): void =>
  void scenario.commitInTransaction("P", [{ offset }], { producerId, ...member });

const plainly = (scenario: Scenario, offset: number): void => void scenario.commit("P", [{ offset }], member);

/** What is committed for t-0, as everybody sees it and as who wants only what is stable. */
function seen(scenario: Scenario): string[] {
  const topics = [{ topic: "t", topicId: "AAAAAAAAAAAAAAAAAAAAAA", partitions: [0] }];
  scenario.heard();
  scenario.fetch("A", topics).fetch("B", topics, { requireStable: true });
  return scenario.heard().map((line) => /fetch t-0=(.*)$/.exec(line)?.[1] ?? line);
}

describe("offsets in a transaction", () => {
  test("count when it is committed, and never if it is aborted", () => {
    const scenario = simple();
    inTransaction(scenario, 1, 5);
    expect(seen(scenario)).toEqual(["-1/-1/", "UNSTABLE_OFFSET_COMMIT"]);
    end(scenario, 1, "commit");
    expect(seen(scenario)).toEqual(["5/-1/", "5/-1/"]);
    inTransaction(scenario, 1, 6);
    expect(seen(scenario)).toEqual(["5/-1/", "UNSTABLE_OFFSET_COMMIT"]);
    end(scenario, 1, "abort");
    expect(seen(scenario)).toEqual(["5/-1/", "5/-1/"]);
  });

  test("are all there after a restart, ended or not", () => {
    const scenario = simple();
    inTransaction(scenario, 1, 5);
    const restarted = scenario.restarted();
    expect(seen(restarted)).toEqual(["-1/-1/", "UNSTABLE_OFFSET_COMMIT"]);
    end(restarted, 1, "commit");
    expect(seen(restarted.restarted())).toEqual(["5/-1/", "5/-1/"]);
  });

  test("lose to what was committed after them, whenever they end", () => {
    const scenario = simple();
    inTransaction(scenario, 1, 5);
    plainly(scenario, 9);
    end(scenario, 1, "commit");
    expect(seen(scenario)).toEqual(["9/-1/", "9/-1/"]);
    expect(seen(scenario.restarted())).toEqual(["9/-1/", "9/-1/"]);
  });

  test("of two transactions: the later commit counts, in whatever order they end", () => {
    for (const order of [
      [1, 2],
      [2, 1],
    ]) {
      const scenario = simple();
      inTransaction(scenario, 1, 5);
      inTransaction(scenario, 2, 7);
      for (const producerId of order) end(scenario, producerId, "commit");
      expect(seen(scenario)).toEqual(["7/-1/", "7/-1/"]);
    }
  });

  test("go with their group, and give back what they held", () => {
    const scenario = simple();
    inTransaction(scenario, 1, 5);
    expect(scenario.memory.heldBytes).toBeGreaterThan(0);
    scenario.delete();
    expect(scenario.log.slice(1).map((record) => [record.kind, "value" in record && record.value])).toEqual([
      ["offset", null],
      ["group", null],
    ]);
    end(scenario, 1, "commit");
    expect(seen(scenario)).toEqual(["-1/-1/", "-1/-1/"]);
    expect(scenario.memory.heldBytes).toBe(0);
  });

  test("too large a text is refused for its partition only", () => {
    const scenario = new Scenario({ offsetMetadataMaxBytes: 3 });
    scenario.commitInTransaction("P", [{ metadata: "abcd" }, { partition: 1, metadata: "abc" }], member);
    expect(scenario.heard().at(-1)).toContain("transactional-commit OFFSET_METADATA_TOO_LARGE NONE");
  });

  test("of a classic group: by a member of this generation, or by nobody in particular (KIP-447)", () => {
    const scenario = new Scenario({ groupInitialRebalanceDelayMs: 0 });
    scenario.join("A").join("A").at(1).sync("A", "A-1=x");
    scenario.heard();
    scenario.commitInTransaction("A", [{ offset: 1 }]);
    scenario.commitInTransaction("A", [{ offset: 1 }], { generationId: 7 });
    scenario.commitInTransaction("A", [{ offset: 1 }], { memberId: "stranger" });
    scenario.commitInTransaction("A", [{ offset: 1 }], member);
    const told = scenario.heard().filter((line) => line.includes("transactional-commit"));
    expect(told.map((line) => line.split("transactional-commit ")[1])).toEqual([
      "NONE",
      "ILLEGAL_GENERATION",
      "UNKNOWN_MEMBER_ID",
      "NONE",
    ]);
  });
});
