import { describe, expect, test } from "bun:test";
import { encodeBroker } from "../metadata/values.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import { asked, askedIds, CLUSTER_OPERATIONS, errors, NO_OPERATIONS, Rig, TOPIC_OPERATIONS, UNKNOWN_ID } from "./metadata-rig.ts";

describe("Metadata", () => {
  test("brokers, controller and cluster, in every version", async () => {
    const rig = await Rig.open();
    for (let version = 0; version <= 13; version++) {
      const answer = await rig.metadata(version, { topics: version === 0 ? [] : null });
      expect(answer.brokers).toEqual([{ nodeId: 7, host: "advertised", port: 9092, rack: null }]);
      if (version >= 1) expect(answer.controllerId).toBe(7);
      if (version >= 2) expect(answer.clusterId).toBe(rig.clusterId);
      expect(answer.topics).toEqual([]);
    }
  });

  test("the controller is one of the brokers, and others are where they registered", async () => {
    const rig = await Rig.open();
    const value = encodeBroker({ incarnation: 1, host: "three", port: 3, rack: "r" });
    await rig.store.txn([], [{ put: "brokers/3", value }, { del: "brokers/7" }]);
    await Bun.sleep(1);
    const answer = await rig.metadata(13, {});
    expect(answer.brokers).toEqual([{ nodeId: 3, host: "three", port: 3, rack: "r" }]);
    expect(answer.controllerId).toBe(3);
  });

  test("a topic with its partitions, in every version", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t", partitions: 2 }]);
    for (let version = 0; version <= 13; version++) {
      const { topics } = await rig.metadata(version, { topics: asked("t") });
      const partition = {
        errorCode: 0,
        leaderId: 7,
        leaderEpoch: version >= 7 ? 0 : -1,
        replicaNodes: [7],
        isrNodes: [7],
        offlineReplicas: [],
      };
      expect(topics).toEqual([
        {
          errorCode: 0,
          name: "t",
          topicId: version >= 10 ? rig.id("t") : ZERO_UUID,
          isInternal: false,
          partitions: [
            { partitionIndex: 0, ...partition },
            { partitionIndex: 1, ...partition },
          ],
          topicAuthorizedOperations: NO_OPERATIONS,
        },
      ]);
    }
  });

  test("all topics: null from version 1, an empty list in version 0; otherwise an empty list is none", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "a" }, { name: "b" }]);
    expect((await rig.metadata(0, { topics: [] })).topics.map(({ name }) => name).sort()).toEqual(["a", "b"]);
    for (const version of [1, 4, 9, 13]) {
      expect((await rig.metadata(version, { topics: null })).topics.map(({ name }) => name).sort()).toEqual(["a", "b"]);
      expect((await rig.metadata(version, { topics: [] })).topics).toEqual([]);
    }
  });

  test("a topic that is made on first use: unknown first, there when asked again", async () => {
    for (const version of [0, 3, 4, 13]) {
      const rig = await Rig.open({ numPartitions: 3 });
      expect(errors((await rig.metadata(version, { topics: asked("new", "a/b") })).topics)).toEqual([
        ["new", 3],
        ["a/b", 17],
      ]);
      await Bun.sleep(1);
      const { topics } = await rig.metadata(version, { topics: asked("new") });
      expect(errors(topics)).toEqual([["new", 0]]);
      expect(topics[0]!.partitions.length).toBe(3);
    }
  });

  test("nothing is made when the client or the broker does not allow it, or all topics are asked for", async () => {
    const refusing = await Rig.open({ autoCreateTopicsEnable: false });
    const rig = await Rig.open();
    for (const [from, request] of [
      [refusing, { topics: asked("x", "") }],
      [rig, { topics: asked("x", ""), allowAutoTopicCreation: false }],
    ] as const) {
      expect(errors((await from.metadata(9, { ...request, topics: [...request.topics] })).topics)).toEqual([
        ["x", 3],
        ["", 17],
      ]);
      await Bun.sleep(1);
      expect(from.image.topicCount).toBe(0);
    }
    await rig.metadata(9, { topics: null });
    expect(rig.image.topicCount).toBe(0);
  });

  test("a name that is asked for twice is answered once", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    expect(errors((await rig.metadata(9, { topics: asked("t", "u", "t", "u") })).topics)).toEqual([
      ["t", 0],
      ["u", 3],
    ]);
  });

  test("by id from version 12 on; names beside ids are not looked at", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }, { name: "other" }]);
    for (const version of [12, 13]) {
      const { topics } = await rig.metadata(version, { topics: [...askedIds(rig.id("t"), UNKNOWN_ID), ...asked("other")] });
      expect(topics.map(({ name, topicId, errorCode }) => [name, topicId, errorCode])).toEqual([
        ["t", rig.id("t"), 0],
        [null, UNKNOWN_ID, 100],
      ]);
    }
  });

  test("versions 10 and 11 carry ids and refuse them", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    for (const version of [10, 11]) {
      expect(
        (await rig.metadata(version, { topics: askedIds(rig.id("t")) })).topics.map(({ name, errorCode }) => [name, errorCode]),
      ).toEqual([["", 42]]);
      expect((await rig.metadata(version, { topics: asked(null) })).topics.map(({ errorCode }) => errorCode)).toEqual([42]);
    }
    const answer = await rig.metadata(13, { topics: asked(null) });
    expect([answer.errorCode, answer.topics[0]!.errorCode]).toEqual([42, 42]);
  });

  test("authorized operations when they are asked for: all that there are", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    const all = { includeClusterAuthorizedOperations: true, includeTopicAuthorizedOperations: true, topics: asked("t", "nope") };
    for (const version of [8, 9, 10]) {
      const answer = await rig.metadata(version, all);
      expect(answer.clusterAuthorizedOperations).toBe(CLUSTER_OPERATIONS);
      expect(answer.topics.map(({ topicAuthorizedOperations }) => topicAuthorizedOperations)).toEqual([
        TOPIC_OPERATIONS,
        TOPIC_OPERATIONS,
      ]);
    }
    expect((await rig.metadata(11, all)).topics[0]!.topicAuthorizedOperations).toBe(TOPIC_OPERATIONS);
    expect((await rig.metadata(10, {})).clusterAuthorizedOperations).toBe(NO_OPERATIONS);
  });

  test("a partition whose leader is gone", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    await rig.store.txn([], [{ del: "brokers/7" }]);
    await Bun.sleep(1);
    const partition = async (version: number) => (await rig.metadata(version, { topics: asked("t") })).topics[0]!.partitions[0]!;
    expect(await partition(13)).toMatchObject({
      errorCode: 5,
      leaderId: -1,
      replicaNodes: [7],
      isrNodes: [7],
      offlineReplicas: [7],
    });
    expect(await partition(0)).toMatchObject({ errorCode: 5, leaderId: -1, replicaNodes: [], isrNodes: [] });
  });

  test("internal topics are marked", async () => {
    const rig = await Rig.open();
    const first = await rig.metadata(9, { topics: asked("__consumer_offsets") });
    expect(first.topics[0]).toMatchObject({ errorCode: 3, isInternal: true });
    await Bun.sleep(1);
    const { topics } = await rig.metadata(9, { topics: asked("__consumer_offsets") });
    expect(topics[0]).toMatchObject({ errorCode: 0, isInternal: true });
    expect(topics[0]!.partitions.length).toBe(50);
  });
});
