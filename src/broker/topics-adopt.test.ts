/** Topics whose logs another broker wrote. */
import { describe, expect, test } from "bun:test";
import type { TopicImage } from "../metadata/image.ts";
import { KafkaError } from "../protocol/errors.ts";
import type { ForeignTopic } from "./topics-plan.ts";
import { create, make, names, topic } from "./topics-rig.ts";

const ID = "jDfXReeJSRSHhzxmhiTGaA";
const OTHER_ID = "ne0YZ9y1Tf2QB0YOtmekng";
const foreign = (name: string, more: Partial<ForeignTopic> = {}): ForeignTopic => ({
  name,
  id: ID,
  leaderEpochs: [0, 4],
  configs: [],
  ...more,
});

describe("adopting a topic", () => {
  test("keeps its id and leader epochs; the partitions are this broker's", async () => {
    const { image, topics } = await make({ nodeId: 5 }, [3, 5]);
    const configs = [{ name: "cleanup.policy", value: "compact" }];
    await topics.adopt(topics.planForeign(foreign("t", { configs })) as TopicImage);
    const adopted = image.topicByName("t")!;
    expect(image.topicById(ID)).toBe(adopted);
    expect(adopted.partitions).toEqual(
      [0, 4].map((leaderEpoch, index) => ({ index, leader: 5, leaderEpoch, partitionEpoch: 0, replicas: [5], isr: [5] })),
    );
    expect([...adopted.configs]).toEqual([["cleanup.policy", "compact"]]);
  });

  test.each<[Partial<ForeignTopic>, string]>([
    [{ name: "t" }, "Topic 't' already exists."],
    [{ name: "a_b" }, "Topic 'a_b' collides with existing topic: a.b"],
    [{ id: "live" }, "Topic id live is that of topic 't'."],
    [
      { name: "x y" },
      "Topic name is invalid: 'x y' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
    ],
    [{ configs: [{ name: "no.such.config", value: "1" }] }, "Unknown topic config name: no.such.config"],
  ])("is refused: %p", async (more, message) => {
    const { image, topics } = await make();
    await create(topics, topic("t"), topic("a.b"));
    const id = more.id === "live" ? image.topicByName("t")!.id : ID;
    const plan = topics.planForeign(foreign("free", { ...more, id }));
    expect(plan).toBeInstanceOf(KafkaError);
    expect((plan as KafkaError).message).toBe(message.replace("live", id));
  });

  test("__consumer_offsets has its own configs, whatever it had", async () => {
    const { topics } = await make();
    const plan = topics.planForeign(foreign("__consumer_offsets", { configs: [{ name: "cleanup.policy", value: "delete" }] }));
    expect((plan as TopicImage).configs.get("cleanup.policy")).toBe("compact");
    expect((plan as TopicImage).isInternal).toBe(true);
  });

  test("loses a race for the name, and for the id", async () => {
    const { image, topics } = await make();
    const plan = topics.planForeign(foreign("t")) as TopicImage;
    await create(topics, topic("t"));
    await expect(topics.adopt(plan)).rejects.toMatchObject({ error: "TOPIC_ALREADY_EXISTS" });
    const [first, second] = ["u", "v"].map((name) => topics.planForeign(foreign(name)) as TopicImage);
    await topics.adopt(first!);
    await expect(topics.adopt(second!)).rejects.toMatchObject({ error: "TOPIC_ALREADY_EXISTS" });
    expect(names(image)).toEqual(["t", "u"]);
  });

  test.each(["of applied", "of refused"] as const)("an outcome that is unknown (%s) is looked at again", async (loseTrack) => {
    const { image, store, topics } = await make();
    store.loseTrack = loseTrack;
    await topics.adopt(topics.planForeign(foreign("t", { id: OTHER_ID })) as TopicImage);
    expect(image.topicByName("t")!.id).toBe(OTHER_ID);
  });
});
