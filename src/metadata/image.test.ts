import { expect, test } from "bun:test";
import { MetadataImage, type TopicImage } from "./image.ts";
import { CLUSTER_KEY, FEATURES_KEY, topicConfigKey, topicKey } from "./keys.ts";
import { MemoryStore } from "./memory-store.ts";
import type { MetadataStore, Op, WatchItem } from "./store.ts";
import { encodeBroker, encodeCluster, encodeConfig, encodeFeatures, encodeTopic, type TopicState } from "./values.ts";

const partition = (index: number) => ({ index, leader: 1, leaderEpoch: 0, partitionEpoch: 0, replicas: [1], isr: [1] });

function topicOp(id: string, name: string, partitions = 1, state: TopicState = "live"): Op {
  const value = encodeTopic({ name, state, partitions: Array.from({ length: partitions }, (_, n) => partition(n)) });
  return { put: topicKey(id), value };
}
const configOp = (id: string, ...configs: [string, string][]): Op => ({
  put: topicConfigKey(id),
  value: encodeConfig(new Map(configs)),
});

const fatal = (error: unknown) => {
  throw error;
};

/** An image, and what its listeners heard. */
function listening(onFatal: (error: unknown) => void = fatal) {
  const image = new MetadataImage(onFatal);
  const heard: string[] = [];
  image.onTopicCreated((topic) => {
    heard.push(`created ${topic.name} ${topic.id}`);
  });
  image.onTopicChanged((topic, before) =>
    heard.push(`changed ${topic.name} ${before.partitions.length}→${topic.partitions.length}`),
  );
  image.onTopicDeleted((topic) => {
    heard.push(`deleted ${topic.name} ${topic.id}`);
  });
  image.onTopicReleased((topic) => heard.push(`released ${topic.name} ${topic.id}`));
  return { image, heard };
}

async function commit(store: MetadataStore, image: MetadataImage, ...ops: Op[]): Promise<void> {
  const result = await store.txn([], ops);
  if (result.kind !== "applied") throw new Error(result.kind);
  await image.reached(result.rev);
}

const names = (image: MetadataImage) => [...image.topics()].map((topic) => topic.name).sort();

test("what is in the store at the start is in the image, and listeners hear of every topic", async () => {
  const store = new MemoryStore();
  await store.txn(
    [],
    [
      { put: CLUSTER_KEY, value: encodeCluster({ clusterId: "the-cluster", format: 1, createdAtMs: 0 }) },
      { put: FEATURES_KEY, value: encodeFeatures(new Map([["group.version", 1]])) },
      { put: "brokers/2", value: encodeBroker({ incarnation: 1, host: "two", port: 2, rack: "r" }) },
      { put: "brokers/1", value: encodeBroker({ incarnation: 4, host: "one", port: 1, rack: null }) },
      topicOp("A", "a", 2),
      configOp("A", ["retention.ms", "1"]),
    ],
  );
  const { image, heard } = listening();
  await image.follow(store);
  expect(heard).toEqual(["created a A"]);
  expect(image.clusterId).toBe("the-cluster");
  expect(image.features.get("group.version")).toBe(1);
  expect(image.brokers().map(({ nodeId, host, rack }) => [nodeId, host, rack])).toEqual([
    [1, "one", null],
    [2, "two", "r"],
  ]);
  expect(image.topicByName("a")).toEqual({
    name: "a",
    id: "A",
    isInternal: false,
    partitions: [partition(0), partition(1)],
    configs: new Map([["retention.ms", "1"]]),
  });
  expect(image.topicById("A")).toBe(image.topicByName("a")!);
});

test("a topic and its configs of one transaction appear together", async () => {
  const store = new MemoryStore();
  const { image } = listening();
  const configs: number[] = [];
  image.onTopicCreated((topic) => {
    configs.push(topic.configs.size);
  });
  await image.follow(store);
  await commit(store, image, topicOp("A", "a"), configOp("A", ["retention.ms", "1"]));
  await commit(store, image, configOp("B", ["retention.ms", "1"]), topicOp("B", "b"));
  expect(configs).toEqual([1, 1]);
});

test("a topic is in the image once everything for it is made; what follows waits", async () => {
  const store = new MemoryStore();
  const { image, heard } = listening();
  const finish: (() => void)[] = [];
  image.onTopicCreated(() => new Promise<void>((resolve) => finish.push(resolve)));
  await image.follow(store);
  const both = commit(store, image, topicOp("A", "a"), topicOp("B", "b"));
  const after = commit(store, image, topicOp("C", "c"));
  await Bun.sleep(1);
  expect(heard).toEqual(["created a A", "created b B"]);
  finish[0]!();
  await Bun.sleep(1);
  expect([names(image), image.rev]).toEqual([[], 0n]);
  finish[1]!();
  await both;
  expect([names(image), image.rev]).toEqual([["a", "b"], 1n]);
  await Bun.sleep(1);
  finish[2]!();
  await after;
  expect(names(image)).toEqual(["a", "b", "c"]);
});

test("follow resolves when everything of the start is made, and rejects when that fails", async () => {
  const store = new MemoryStore();
  await store.txn([], [topicOp("A", "a")]);
  const { image } = listening();
  image.onTopicCreated(() => Bun.sleep(1));
  await image.follow(store);
  expect(names(image)).toEqual(["a"]);
  const failing = new MetadataImage(fatal);
  failing.onTopicCreated(() => Promise.reject(new Error("no directory")));
  await expect(failing.follow(store)).rejects.toThrow("no directory");
});

test("changes of partitions and of configs are told with what was before", async () => {
  const store = new MemoryStore();
  const { image, heard } = listening();
  await image.follow(store);
  await commit(store, image, topicOp("A", "a", 1));
  await commit(store, image, topicOp("A", "a", 3));
  await commit(store, image, configOp("A", ["retention.ms", "5"]));
  expect(image.topicByName("a")!.configs.get("retention.ms")).toBe("5");
  await commit(store, image, { del: topicConfigKey("A") });
  expect(image.topicByName("a")!.configs.size).toBe(0);
  expect(heard).toEqual(["created a A", "changed a 1→3", "changed a 3→3", "changed a 3→3"]);
});

test("a deleted topic is out of the image at once, and released when all listeners have finished", async () => {
  const store = new MemoryStore();
  const { image, heard } = listening();
  let finish = () => {};
  image.onTopicDeleted(() => new Promise<void>((resolve) => (finish = resolve)));
  await image.follow(store);
  await commit(store, image, topicOp("A", "a"));
  await commit(store, image, topicOp("A", "a", 1, "deleting"));
  expect(names(image)).toEqual([]);
  expect(image.topicById("A")).toBeUndefined();
  expect(heard).toEqual(["created a A", "deleted a A"]);
  finish();
  await Bun.sleep(1);
  expect(heard).toEqual(["created a A", "deleted a A", "released a A"]);
  await commit(store, image, { del: topicKey("A") });
  expect(heard.length).toBe(3);
});

test("a deletion that was under way at the last stop is taken up again at the start", async () => {
  const store = new MemoryStore();
  await store.txn([], [topicOp("A", "gone", 1, "deleting"), topicOp("B", "here")]);
  const { image, heard } = listening();
  await image.follow(store);
  await Bun.sleep(1);
  expect(heard.sort()).toEqual(["created here B", "deleted gone A", "released gone A"]);
  expect(names(image)).toEqual(["here"]);
});

test("in one transaction the old topic of a name goes before the new one comes", async () => {
  const store = new MemoryStore();
  const { image, heard } = listening();
  await image.follow(store);
  await commit(store, image, topicOp("A", "a"));
  await commit(store, image, topicOp("B", "a"), topicOp("A", "a", 1, "deleting"));
  expect(heard.slice(0, 3)).toEqual(["created a A", "deleted a A", "created a B"]);
  expect(image.topicByName("a")?.id).toBe("B");
  expect(image.topicByUnifiedName("a")?.id).toBe("B");
});

test("names that collide are found by their unified form", async () => {
  const store = new MemoryStore();
  const { image } = listening();
  await image.follow(store);
  await commit(store, image, topicOp("A", "a.b"));
  expect(image.topicByUnifiedName("a_b")?.name).toBe("a.b");
  await commit(store, image, topicOp("A", "a.b", 1, "deleting"));
  expect(image.topicByUnifiedName("a_b")).toBeUndefined();
});

test("reached waits for its revision, and rejects when the store closes before", async () => {
  const store = new MemoryStore();
  const { image } = listening();
  await image.follow(store);
  await commit(store, image, topicOp("A", "a"));
  await image.reached(image.rev);
  const never = image.reached(image.rev + 5n);
  await store.close();
  await expect(never).rejects.toThrow("stopping");
  await expect(image.reached(image.rev + 1n)).rejects.toThrow("stopping");
});

test("brokers come and go", async () => {
  const store = new MemoryStore();
  const { image } = listening();
  await image.follow(store);
  const session = await store.openSession(1000);
  const value = encodeBroker({ incarnation: 1, host: "h", port: 1, rack: null });
  await commit(store, image, { put: "brokers/5", value, session: session.id });
  expect(image.broker(5)?.host).toBe("h");
  await session.close();
  await Bun.sleep(1);
  expect(image.broker(5)).toBeUndefined();
});

/** A store whose watch loses everything once, as one that fell behind. */
class Forgetful extends MemoryStore {
  /** What happens between the start and the resync. */
  meanwhile: (() => Promise<void>) | null = null;
  override watch(prefix: string, after: bigint): AsyncIterable<WatchItem> {
    const { meanwhile } = this;
    if (meanwhile === null) return super.watch(prefix, after);
    this.meanwhile = null;
    return (async function* () {
      await meanwhile();
      yield { type: "resync" } as const;
    })();
  }
}

test("a resync tells the difference and nothing else", async () => {
  const store = new Forgetful();
  await store.txn(
    [],
    [topicOp("A", "stays"), topicOp("B", "goes"), topicOp("C", "grows"), topicOp("D", "vanishes"), topicOp("E", "again")],
  );
  await store.txn([], [{ put: "brokers/9", value: encodeBroker({ incarnation: 1, host: "h", port: 1, rack: null }) }]);
  const { image, heard } = listening();
  store.meanwhile = async () => {
    await store.txn(
      [],
      [
        topicOp("B", "goes", 1, "deleting"),
        topicOp("C", "grows", 4),
        { del: topicKey("D") },
        { del: topicKey("E") },
        topicOp("F", "again"),
        topicOp("G", "new"),
        { del: "brokers/9" },
      ],
    );
  };
  await image.follow(store);
  heard.length = 0;
  await image.reached(3n);
  await Bun.sleep(1);
  expect(heard.sort()).toEqual(
    [
      "changed grows 1→4",
      "created again F",
      "created new G",
      "deleted again E",
      "deleted goes B",
      "deleted vanishes D",
      "released again E",
      "released goes B",
      "released vanishes D",
    ].sort(),
  );
  expect(names(image)).toEqual(["again", "grows", "new", "stays"]);
  expect(image.topicByName("again")?.id).toBe("F");
  expect(image.brokers()).toEqual([]);
});

test("metadata of a newer version stops the start, and is fatal later", async () => {
  const store = new MemoryStore();
  const errors: unknown[] = [];
  const { image } = listening((error) => errors.push(error));
  await image.follow(store);
  await store.txn([], [{ put: "acl/1", value: new Uint8Array(2) }]);
  await Bun.sleep(1);
  expect(errors.map(String)).toEqual([
    "NewerMetadata: unknown metadata key acl/1: the metadata was written by a newer quarkmq; start that version or a newer one",
  ]);
  const late = new MetadataImage(fatal);
  await expect(late.follow(store)).rejects.toThrow("unknown metadata key acl/1");
});

test("a listener that fails is fatal, and the topic is not released", async () => {
  const store = new MemoryStore();
  const errors: unknown[] = [];
  const { image, heard } = listening((error) => errors.push(error));
  image.onTopicDeleted(() => Promise.reject(new Error("disk on fire")));
  await image.follow(store);
  await commit(store, image, topicOp("A", "a"));
  await commit(store, image, topicOp("A", "a", 1, "deleting"));
  await Bun.sleep(1);
  expect(errors.map(String)).toEqual(["Error: disk on fire"]);
  expect(heard).not.toContain("released a A");
});

test("topics are immutable: who holds one keeps what it saw", async () => {
  const store = new MemoryStore();
  const { image } = listening();
  await image.follow(store);
  await commit(store, image, topicOp("A", "a", 1));
  const held: TopicImage = image.topicByName("a")!;
  await commit(store, image, topicOp("A", "a", 2));
  expect(held.partitions.length).toBe(1);
  expect(image.topicByName("a")!.partitions.length).toBe(2);
});
