import { describe, expect, test } from "bun:test";
import { MemoryStore } from "../metadata/memory-store.ts";
import { ZERO_UUID } from "../protocol/schema.ts";
import type { Topics } from "./topics.ts";
import { create, make, names, one, topic } from "./topics-rig.ts";

describe("delete", () => {
  const byName = (name: string) => ({ name, topicId: ZERO_UUID });
  const byId = (topicId: string) => ({ name: null, topicId });
  const told = async (topics: Topics, ...targets: { name: string | null; topicId: string }[]) =>
    (await topics.delete(targets)).map(
      ({ name, error }) => `${name} ${error === null ? "ok" : `${error.error}: ${error.message}`}`,
    );

  test("by name and by id; the answer has both", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a"), topic("b"), topic("c"));
    const [a, b] = [image.topicByName("a")!, image.topicByName("b")!];
    const results = await topics.delete([byName("a"), byId(b.id)]);
    expect(results.map(({ name, topicId, error }) => [name, topicId, error]).sort()).toEqual([
      ["a", a.id, null],
      ["b", b.id, null],
    ]);
    expect(names(image)).toEqual(["c"]);
  });

  test("what is wrong with a request is told per topic", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a"), topic("b"));
    const a = image.topicByName("a")!.id;
    const unknown = "ABCDEFGHIJKLMNOPQRSTUQ";
    expect(await told(topics, byName("nope"), byId(unknown), byId(ZERO_UUID), { name: "b", topicId: unknown })).toEqual([
      "null INVALID_REQUEST: Neither topic name nor id were specified.",
      "b INVALID_REQUEST: You may not specify both topic name and topic id.",
      "null UNKNOWN_TOPIC_ID: This server does not host this topic ID.",
      "nope UNKNOWN_TOPIC_OR_PARTITION: This server does not host this topic-partition.",
    ]);
    expect(await told(topics, byName("b"), byName("b"), byName("b"))).toEqual(["b INVALID_REQUEST: Duplicate topic name."]);
    expect(await told(topics, byId(a), byId(a))).toEqual(["null INVALID_REQUEST: Duplicate topic id."]);
    expect(await told(topics, byId(a), byName("a"))).toEqual([
      "a INVALID_REQUEST: The provided topic name maps to an ID that was already supplied.",
    ]);
    expect(names(image)).toEqual(["a", "b"]);
  });

  test("a name can be used again at once, with another id", async () => {
    const { image, topics } = await make();
    await create(topics, topic("a.b"));
    const old = image.topicByName("a.b")!.id;
    const [deleted, created] = await Promise.all([told(topics, byName("a.b")), one(topics, topic("a_b"))]);
    expect(deleted).toEqual(["a.b ok"]);
    expect(created).toBe("a_b INVALID_TOPIC_EXCEPTION: Topic 'a_b' collides with existing topic: a.b");
    expect(await one(topics, topic("a_b"))).toBe("a_b ok");
    expect(image.topicByName("a_b")!.id).not.toBe(old);
    expect(image.topicById(old)).toBeUndefined();
  });

  test("the store forgets a topic once its files are gone, not before", async () => {
    const { image, store, topics } = await make();
    let finish = () => {};
    image.onTopicDeleted(() => new Promise<void>((resolve) => (finish = resolve)));
    await create(topics, topic("a", { configs: [{ name: "retention.ms", value: "1" }] }));
    const { id } = image.topicByName("a")!;
    await told(topics, byName("a"));
    const keys = async () => (await store.snapshot("")).kvs.map((kv) => kv.key).filter((key) => !key.startsWith("brokers/"));
    await Bun.sleep(1);
    expect(await keys()).toEqual([`config/topic/${id}`, `topics/${id}`]);
    finish();
    await Bun.sleep(1);
    expect(await keys()).toEqual([]);
  });

  test("a deletion that a stop interrupted is finished by the next start", async () => {
    const store = new MemoryStore();
    const first = await make({}, [1], store);
    first.image.onTopicDeleted(() => new Promise(() => {}));
    await create(first.topics, topic("a"), topic("b"));
    await told(first.topics, byName("a"));
    const second = await make({}, [1], store);
    await Bun.sleep(1);
    expect(names(second.image)).toEqual(["b"]);
    expect((await store.snapshot("topics/")).kvs.length).toBe(1);
  });

  test("of two who delete a topic at once, one did", async () => {
    const { topics } = await make();
    await create(topics, topic("a"));
    const both = await Promise.all([told(topics, byName("a")), told(topics, byName("a"))]);
    expect(both.flat()).toEqual(["a ok", "a UNKNOWN_TOPIC_ID: This server does not host this topic ID."]);
  });

  test("a thousand at once, one of them changed meanwhile", async () => {
    const { image, topics } = await make();
    await create(topics, ...Array.from({ length: 1000 }, (_, n) => topic(`t${n}`)));
    const racing = told(topics, byName("t7"));
    const all = await told(topics, ...Array.from({ length: 1000 }, (_, n) => byName(`t${n}`)));
    expect(await racing).toEqual(["t7 ok"]);
    expect(all.filter((line) => !line.endsWith(" ok"))).toEqual([
      "t7 UNKNOWN_TOPIC_ID: This server does not host this topic ID.",
    ]);
    expect(image.topicCount).toBe(0);
  });

  test("an unknown outcome is looked at again", async () => {
    const { image, store, topics } = await make();
    await create(topics, topic("a"), topic("b"));
    store.loseTrack = "of applied";
    expect(await told(topics, byName("a"))).toEqual(["a ok"]);
    store.loseTrack = "of refused";
    expect(await told(topics, byName("b"))).toEqual(["b ok"]);
    expect(names(image)).toEqual([]);
  });

  test("can be turned off", async () => {
    const { topics } = await make({ deleteTopicEnable: false });
    await expect(topics.delete([byName("a")])).rejects.toMatchObject({ error: "TOPIC_DELETION_DISABLED" });
  });
});
