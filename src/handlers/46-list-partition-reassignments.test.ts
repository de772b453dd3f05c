import { describe, expect, test } from "bun:test";
import { ListPartitionReassignments } from "../protocol/messages/46-list-partition-reassignments.ts";
import { listPartitionReassignments } from "./46-list-partition-reassignments.ts";
import { Rig } from "./metadata-rig.ts";

describe("ListPartitionReassignments", () => {
  test("there are none, whatever is asked for", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    for (const topics of [null, [{ name: "t", partitionIndexes: [0, 5] }], [{ name: "nope", partitionIndexes: [0] }]]) {
      const answer = await rig.ask(listPartitionReassignments, ListPartitionReassignments, 0, { topics });
      expect(answer).toEqual({ throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] });
    }
  });
});
