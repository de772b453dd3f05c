import { expect, test } from "bun:test";
import { CreatePartitions } from "../protocol/messages/37-create-partitions.ts";
import { createPartitions } from "./37-create-partitions.ts";
import { Rig } from "./metadata-rig.ts";

test("CreatePartitions, in every version", async () => {
  const rig = await Rig.open();
  await rig.create([{ name: "t" }]);
  for (const version of [0, 1, 2, 3]) {
    const before = rig.image.topicByName("t")!.partitions.length;
    const topics = [
      { name: "t", count: before + 1, assignments: version % 2 === 0 ? null : [{ brokerIds: [7] }] },
      { name: "nope", count: 2, assignments: null },
    ];
    const ask = (validateOnly: boolean) =>
      rig.ask(createPartitions, CreatePartitions, version, { topics, timeoutMs: 1000, validateOnly });
    const answer = {
      throttleTimeMs: 0,
      results: [
        { name: "t", errorCode: 0, errorMessage: null },
        { name: "nope", errorCode: 3, errorMessage: null },
      ],
    };
    expect(await ask(true)).toEqual(answer);
    expect(rig.image.topicByName("t")!.partitions.length).toBe(before);
    expect(await ask(false)).toEqual(answer);
    expect(rig.image.topicByName("t")!.partitions.length).toBe(before + 1);
    expect(await ask(false)).toMatchObject({
      results: [{ errorCode: 37, errorMessage: `Topic already has ${before + 1} partition(s).` }, {}],
    });
  }
});
