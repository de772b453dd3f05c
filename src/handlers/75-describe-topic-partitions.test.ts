import { describe, expect, test } from "bun:test";
import { DescribeTopicPartitions } from "../protocol/messages/75-describe-topic-partitions.ts";
import type { RequestInput } from "../protocol/schema.ts";
import { describeTopicPartitions } from "./75-describe-topic-partitions.ts";
import { Rig, TOPIC_OPERATIONS } from "./metadata-rig.ts";

describe("DescribeTopicPartitions", () => {
  type Request = RequestInput<typeof DescribeTopicPartitions>;
  const page = async (rig: Rig, request: Partial<Request>) => {
    const answer = await rig.ask(describeTopicPartitions, DescribeTopicPartitions, 0, { topics: [], ...request });
    const topics = answer.topics.map(({ name, errorCode, partitions }) => [
      name,
      errorCode === 0 ? partitions.map(({ partitionIndex }) => partitionIndex) : errorCode,
    ]);
    return { topics, next: answer.nextCursor === null ? null : [answer.nextCursor.topicName, answer.nextCursor.partitionIndex] };
  };

  test("everything of one topic", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    const answer = await rig.ask(describeTopicPartitions, DescribeTopicPartitions, 0, { topics: [{ name: "t" }] });
    expect(answer).toEqual({
      throttleTimeMs: 0,
      nextCursor: null,
      topics: [
        {
          errorCode: 0,
          name: "t",
          topicId: rig.id("t"),
          isInternal: false,
          partitions: [
            {
              errorCode: 0,
              partitionIndex: 0,
              leaderId: 7,
              leaderEpoch: 0,
              replicaNodes: [7],
              isrNodes: [7],
              eligibleLeaderReplicas: [],
              lastKnownElr: [],
              offlineReplicas: [],
            },
          ],
          topicAuthorizedOperations: TOPIC_OPERATIONS,
        },
      ],
    });
  });

  test("topics in order, pages that begin where the last one ended", async () => {
    const rig = await Rig.open();
    await rig.create([
      { name: "c", partitions: 2 },
      { name: "a", partitions: 3 },
      { name: "b", partitions: 1 },
    ]);
    expect(await page(rig, {})).toEqual({
      topics: [
        ["a", [0, 1, 2]],
        ["b", [0]],
        ["c", [0, 1]],
      ],
      next: null,
    });
    expect(await page(rig, { responsePartitionLimit: 2 })).toEqual({ topics: [["a", [0, 1]]], next: ["a", 2] });
    const second = { responsePartitionLimit: 2, cursor: { topicName: "a", partitionIndex: 2 } };
    expect(await page(rig, second)).toEqual({
      topics: [
        ["a", [2]],
        ["b", [0]],
      ],
      next: ["c", 0],
    });
    const third = { responsePartitionLimit: 2, cursor: { topicName: "c", partitionIndex: 0 } };
    expect(await page(rig, third)).toEqual({ topics: [["c", [0, 1]]], next: null });
    expect(await page(rig, { responsePartitionLimit: 0 })).toEqual({ topics: [["a", [0]]], next: ["a", 1] });
    expect(await page(rig, { responsePartitionLimit: 3 })).toEqual({ topics: [["a", [0, 1, 2]]], next: ["b", 0] });
  });

  test("no more than 2,000 partitions in one page", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "big", partitions: 3000 }]);
    const first = await page(rig, { responsePartitionLimit: 1_000_000 });
    expect(first.next).toEqual(["big", 2000]);
    const second = await page(rig, { responsePartitionLimit: 1_000_000, cursor: { topicName: "big", partitionIndex: 2000 } });
    expect([(second.topics[0]![1] as number[]).length, second.next]).toEqual([1000, null]);
  });

  test("a topic that is gone when its turn comes is passed over, unless it was named", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "a" }, { name: "c" }]);
    expect(await page(rig, { cursor: { topicName: "b", partitionIndex: 1 } })).toEqual({ topics: [["c", [0]]], next: null });
    const named = { topics: [{ name: "c" }, { name: "b" }, { name: "x y" }], cursor: { topicName: "b", partitionIndex: 1 } };
    expect(await page(rig, named)).toEqual({
      topics: [
        ["b", 3],
        ["c", [0]],
        ["x y", 17],
      ],
      next: null,
    });
  });

  test("cursors that make no sense", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "a" }]);
    expect(await page(rig, { topics: [{ name: "a" }], cursor: { topicName: "b", partitionIndex: 0 } })).toEqual({
      topics: [["a", 42]],
      next: null,
    });
    expect(await page(rig, { topics: [{ name: "a" }], cursor: { topicName: "a", partitionIndex: -1 } })).toEqual({
      topics: [["a", 42]],
      next: null,
    });
  });
});
