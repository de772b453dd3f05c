import { describe, expect, test } from "bun:test";
import { DeleteTopics } from "../protocol/messages/20-delete-topics.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { deleteTopics } from "./20-delete-topics.ts";
import { asked, askedIds, Rig, UNKNOWN_ID } from "./metadata-rig.ts";

describe("DeleteTopics", () => {
  test("by name in every version", async () => {
    for (let version = 1; version <= 6; version++) {
      const rig = await Rig.open();
      await rig.create([{ name: "t" }]);
      const id = rig.id("t");
      const { responses } = await rig.ask(deleteTopics, DeleteTopics, version, {
        topics: asked("t", "nope"),
        topicNames: ["t", "nope"],
        timeoutMs: 1000,
      });
      expect(responses.map(({ name, errorCode, topicId }) => [name, errorCode, topicId]).sort()).toEqual([
        ["nope", 3, ZERO_UUID],
        ["t", 0, version >= 6 ? id : ZERO_UUID],
      ]);
      expect(responses.find(({ name }) => name === "nope")!.errorMessage).toBe(
        version >= 5 ? "This server does not host this topic-partition." : null,
      );
      expect(rig.image.topicCount).toBe(0);
    }
  });

  test("by id", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    const id = rig.id("t");
    const { responses } = await rig.ask(deleteTopics, DeleteTopics, 6, { topics: askedIds(id, UNKNOWN_ID), timeoutMs: 1000 });
    expect(responses.map(({ name, errorCode, topicId }) => [name, errorCode, topicId])).toEqual([
      [null, 100, UNKNOWN_ID],
      ["t", 0, id],
    ]);
  });

  test("turned off: INVALID_REQUEST below version 3, TOPIC_DELETION_DISABLED from there on", async () => {
    const rig = await Rig.open({ deleteTopicEnable: false });
    await rig.create([{ name: "t" }]);
    const refused = async (version: number) =>
      (await rig.ask(deleteTopics, DeleteTopics, version, { topics: asked("t"), topicNames: ["t"], timeoutMs: 1 })).responses.map(
        ({ name, errorCode }) => [name, errorCode],
      );
    expect(await refused(2)).toEqual([["t", 42]]);
    expect(await refused(3)).toEqual([["t", 73]]);
    expect(await refused(6)).toEqual([["t", 73]]);
    expect(rig.image.topicCount).toBe(1);
  });
});
