/** The handlers of metadata and topic administration over a store in memory, through the codecs of each version. */
import { describe, expect, test } from "bun:test";
import { silentLogger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import { Topics } from "../broker/topics.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { realRandom } from "../io/random.ts";
import { bootstrap } from "../metadata/bootstrap.ts";
import { MetadataImage } from "../metadata/image.ts";
import { MemoryStore } from "../metadata/memory-store.ts";
import { encodeBroker } from "../metadata/values.ts";
import { requestCodec, responseCodec } from "../protocol/compile.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Metadata } from "../protocol/messages/03-metadata.ts";
import { CreateTopics } from "../protocol/messages/19-create-topics.ts";
import { DeleteTopics } from "../protocol/messages/20-delete-topics.ts";
import { DescribeConfigs } from "../protocol/messages/32-describe-configs.ts";
import { ListPartitionReassignments } from "../protocol/messages/46-list-partition-reassignments.ts";
import { DescribeCluster } from "../protocol/messages/60-describe-cluster.ts";
import { DescribeTopicPartitions } from "../protocol/messages/75-describe-topic-partitions.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../protocol/schema.ts";
import { metadata } from "./03-metadata.ts";
import { createTopics } from "./19-create-topics.ts";
import { deleteTopics } from "./20-delete-topics.ts";
import { describeConfigs } from "./32-describe-configs.ts";
import { listPartitionReassignments } from "./46-list-partition-reassignments.ts";
import { describeCluster } from "./60-describe-cluster.ts";
import { describeTopicPartitions } from "./75-describe-topic-partitions.ts";
import type { Call, Handler } from "./handler.ts";

const NO_OPERATIONS = -2147483648;
/** READ to ALTER_CONFIGS of a topic: bits 3 4 5 6 7 8 10 11. */
const TOPIC_OPERATIONS = 0b1101_1111_1000;
/** CREATE ALTER DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS IDEMPOTENT_WRITE: bits 5 7 8 9 10 11 12. */
const CLUSTER_OPERATIONS = 0b1_1111_1010_0000;
const UNKNOWN_ID = "ABCDEFGHIJKLMNOPQRSTUQ";

class Rig {
  readonly store = new MemoryStore();
  readonly image = new MetadataImage((error) => {
    throw error;
  });
  clusterId = "";
  private broker!: Broker;

  static async open(changes: Partial<ServerConfig> = {}): Promise<Rig> {
    const rig = new Rig();
    const { store, image } = rig;
    const config = defaultServerConfig({ nodeId: 7, ...changes });
    const topics = new Topics({ config, store, image, random: realRandom, logger: silentLogger });
    const booted = await bootstrap({ store, random: realRandom, nowMs: 0, nodeId: 7, host: "registered", port: 1 });
    rig.clusterId = booted.clusterId;
    await image.follow(store);
    rig.broker = { config, image, topics, nodeId: 7, endpoint: () => ({ host: "advertised", port: 9092 }) } as unknown as Broker;
    return rig;
  }

  /** Sends a request through the wire form of its version; the answer comes back the same way. */
  ask<A extends AnyApi>(handler: Handler, api: A, version: number, request: RequestInput<A>): Promise<Response<A>> {
    const writer = new Writer(64);
    requestCodec(api, version).encode(writer, request);
    return new Promise((resolve, reject) => {
      const reply = (response: object) => {
        const answer = new Writer(64);
        responseCodec(api, version).encode(answer, response);
        resolve(responseCodec(api, version).decode(new Reader(answer.finishOne())) as Response<A>);
      };
      const call = {
        broker: this.broker,
        connection: { remoteAddress: "127.0.0.1" },
        api,
        version,
        clientId: "c",
        request: requestCodec(api, version).decode(new Reader(writer.finishOne())),
        reply,
        fail: reject,
      } as unknown as Call<AnyApi>;
      const failed = (error: unknown) => (error instanceof KafkaError ? reply(handler.onError(error, call)) : reject(error));
      try {
        Promise.resolve(handler.handle(call)).catch(failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  metadata = (version: number, request: Partial<RequestInput<typeof Metadata>>) =>
    this.ask(metadata, Metadata, version, {
      topics: null,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
      ...request,
    });

  create = (topics: { name: string; partitions?: number; configs?: [string, string][] }[], version = 7) =>
    this.ask(createTopics, CreateTopics, version, {
      topics: topics.map(({ name, partitions = 1, configs = [] }) => ({
        name,
        numPartitions: partitions,
        replicationFactor: 1,
        assignments: [],
        configs: configs.map(([name, value]) => ({ name, value })),
      })),
    });

  describeConfigs = (
    resourceType: number,
    resourceName: string,
    configurationKeys: string[] | null = null,
    o: { version?: number; includeSynonyms?: boolean; includeDocumentation?: boolean } = {},
  ) =>
    this.ask(describeConfigs, DescribeConfigs, o.version ?? 4, {
      resources: [{ resourceType, resourceName, configurationKeys }],
      includeSynonyms: o.includeSynonyms ?? false,
      includeDocumentation: o.includeDocumentation ?? false,
    });

  id = (name: string): string => this.image.topicByName(name)!.id;
}

const asked = (...names: (string | null)[]) => names.map((name) => ({ name, topicId: ZERO_UUID }));
const askedIds = (...ids: string[]) => ids.map((topicId) => ({ name: null, topicId }));
const errors = (topics: readonly { errorCode: number; name: string | null }[]) =>
  topics.map(({ name, errorCode }) => [name, errorCode]);

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

describe("CreateTopics", () => {
  test("what every version tells", async () => {
    for (let version = 2; version <= 7; version++) {
      const rig = await Rig.open();
      const { topics } = await rig.create([{ name: "t", partitions: 3, configs: [["retention.ms", "5000"]] }], version);
      const [topic] = topics;
      expect([topic!.name, topic!.errorCode, topic!.errorMessage]).toEqual(["t", 0, null]);
      expect(topic!.topicId).toBe(version >= 7 ? rig.id("t") : ZERO_UUID);
      expect([topic!.numPartitions, topic!.replicationFactor]).toEqual(version >= 5 ? [3, 1] : [-1, -1]);
      if (version < 5) continue;
      const configs = topic!.configs!;
      expect(configs.map(({ name }) => name)).toEqual(configs.map(({ name }) => name).sort());
      expect(configs.find(({ name }) => name === "retention.ms")).toEqual({
        name: "retention.ms",
        value: "5000",
        readOnly: false,
        configSource: 1,
        isSensitive: false,
      });
      expect(configs.find(({ name }) => name === "cleanup.policy")).toMatchObject({ value: "delete", configSource: 5 });
    }
  });

  test("an error of one topic and of the whole request", async () => {
    const rig = await Rig.open();
    const { topics } = await rig.create([{ name: "t" }, { name: "x x" }, { name: "t" }]);
    expect(
      topics.map(({ name, errorCode, errorMessage, numPartitions, configs }) => [
        name,
        errorCode,
        errorMessage,
        numPartitions,
        configs,
      ]),
    ).toEqual([
      [
        "x x",
        17,
        "Topic name is invalid: 'x x' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        -1,
        [],
      ],
      ["t", 42, "Duplicate topic name.", -1, []],
    ]);
    const refused = await rig.create([{ name: "big", partitions: 10_001 }, { name: "small" }]);
    expect(refused.topics.map(({ name, errorCode, errorMessage }) => [name, errorCode, errorMessage])).toEqual([
      ["big", 44, "Excessively large number of partitions per request."],
      ["small", 44, "Excessively large number of partitions per request."],
    ]);
    expect(rig.image.topicCount).toBe(0);
  });

  test("validate only tells what would be", async () => {
    const rig = await Rig.open({ numPartitions: 5 });
    const topic = { name: "t", numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] };
    const { topics } = await rig.ask(createTopics, CreateTopics, 7, { topics: [topic], validateOnly: true });
    expect(topics[0]).toMatchObject({ errorCode: 0, numPartitions: 5, replicationFactor: 1 });
    expect(rig.image.topicCount).toBe(0);
  });
});

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

describe("DescribeConfigs", () => {
  const TOPIC = 2;
  const BROKER = 4;
  const LOGGER = 8;

  test("of a topic: values, where they come from, types", async () => {
    const rig = await Rig.open({ logSegmentBytes: 2_000_000 });
    await rig.create([
      {
        name: "t",
        configs: [
          ["retention.ms", "5000"],
          ["cleanup.policy", "compact,delete"],
        ],
      },
    ]);
    const { results } = await rig.describeConfigs(TOPIC, "t", null, { includeSynonyms: true });
    expect([results[0]!.errorCode, results[0]!.resourceType, results[0]!.resourceName]).toEqual([0, TOPIC, "t"]);
    const of = (name: string) => {
      const { value, configSource, configType, readOnly, synonyms } = results[0]!.configs.find((entry) => entry.name === name)!;
      expect(readOnly).toBe(false);
      return [value, configSource, configType, synonyms.map(({ name, value, source }) => `${source}:${name}=${value}`)];
    };
    expect(of("retention.ms")).toEqual(["5000", 1, 5, ["1:retention.ms=5000"]]);
    expect(of("cleanup.policy")).toEqual([
      "compact,delete",
      1,
      7,
      ["1:cleanup.policy=compact,delete", "5:log.cleanup.policy=delete"],
    ]);
    expect(of("segment.bytes")).toEqual(["2000000", 4, 3, ["4:log.segment.bytes=2000000", "5:log.segment.bytes=1073741824"]]);
    expect(of("segment.ms")).toEqual(["604800000", 5, 5, []]);
    expect(of("max.message.bytes")).toEqual(["1048588", 5, 3, ["5:message.max.bytes=1048588"]]);
    expect(of("flush.messages")).toEqual(["9223372036854775807", 5, 5, ["5:log.flush.interval.messages=9223372036854775807"]]);
    expect(of("min.cleanable.dirty.ratio")).toEqual(["0.5", 5, 6, ["5:log.cleaner.min.cleanable.ratio=0.5"]]);
    expect(of("unclean.leader.election.enable")).toEqual(["false", 5, 1, ["5:unclean.leader.election.enable=false"]]);
    expect(of("compression.type")).toEqual(["producer", 5, 2, ["5:compression.type=producer"]]);
    expect(of("leader.replication.throttled.replicas")).toEqual(["", 5, 7, []]);
  });

  test("only what is asked for; documentation and synonyms only when they are", async () => {
    const rig = await Rig.open();
    await rig.create([{ name: "t" }]);
    const named = await rig.describeConfigs(TOPIC, "t", ["retention.ms", "nope"], { includeDocumentation: true });
    expect(named.results[0]!.configs.map(({ name }) => name)).toEqual(["retention.ms"]);
    expect(named.results[0]!.configs[0]!.documentation!.length).toBeGreaterThan(20);
    for (const keys of [null, []]) {
      const all = await rig.describeConfigs(TOPIC, "t", keys);
      expect(all.results[0]!.configs.length).toBeGreaterThan(30);
      expect(
        all.results[0]!.configs.every(({ synonyms, documentation }) => synonyms.length === 0 && documentation === null),
      ).toBe(true);
    }
    for (const version of [1, 2, 3])
      expect((await rig.describeConfigs(TOPIC, "t", null, { version })).results[0]!.errorCode).toBe(0);
  });

  test("of a topic that there is not, or that cannot be", async () => {
    const rig = await Rig.open();
    expect((await rig.describeConfigs(TOPIC, "nope")).results[0]).toMatchObject({
      errorCode: 3,
      configs: [],
      resourceName: "nope",
    });
    expect((await rig.describeConfigs(TOPIC, "a b")).results[0]).toMatchObject({ errorCode: 17 });
  });

  test("of this broker, by Kafka's names", async () => {
    const rig = await Rig.open({ numPartitions: 6, advertised: { host: "k", port: 9 } });
    const { results } = await rig.describeConfigs(BROKER, "7", null, { includeSynonyms: true });
    const of = (name: string) => {
      const { value, configSource, configType, synonyms } = results[0]!.configs.find((entry) => entry.name === name)!;
      return [value, configSource, configType, synonyms.map(({ name, value, source }) => `${source}:${name}=${value}`)];
    };
    expect(of("num.partitions")).toEqual(["6", 4, 3, ["4:num.partitions=6", "5:num.partitions=1"]]);
    expect(of("auto.create.topics.enable")).toEqual(["true", 5, 1, ["5:auto.create.topics.enable=true"]]);
    expect(of("listeners")).toEqual(["PLAINTEXT://0.0.0.0:9092", 5, 7, ["5:listeners=PLAINTEXT://0.0.0.0:9092"]]);
    expect(of("advertised.listeners")).toEqual(["PLAINTEXT://k:9", 4, 7, ["4:advertised.listeners=PLAINTEXT://k:9"]]);
    expect(of("log.roll.ms")).toEqual(["604800000", 5, 5, ["5:log.roll.ms=604800000"]]);
    expect(results[0]!.configs.every(({ readOnly, isSensitive }) => readOnly && !isSensitive)).toBe(true);
    expect(
      (await rig.describeConfigs(BROKER, "7", ["node.id"])).results[0]!.configs.map(({ name, value }) => [name, value]),
    ).toEqual([["node.id", "7"]]);
  });

  test("of all brokers there is nothing dynamic; other brokers answer for themselves", async () => {
    const rig = await Rig.open();
    expect((await rig.describeConfigs(BROKER, "")).results[0]).toMatchObject({ errorCode: 0, configs: [] });
    expect((await rig.describeConfigs(BROKER, "8")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Unexpected broker id, expected 7 or empty string, but received 8",
    });
    expect((await rig.describeConfigs(BROKER, "x")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Broker id must be an integer, but it is: x",
    });
  });

  test("of the logger, of groups and metrics, of nothing known", async () => {
    const rig = await Rig.open();
    expect(
      (await rig.describeConfigs(LOGGER, "7")).results[0]!.configs.map(({ name, value, configSource }) => [
        name,
        value,
        configSource,
      ]),
    ).toEqual([["root", "INFO", 6]]);
    expect((await rig.describeConfigs(LOGGER, "")).results[0]).toMatchObject({
      errorCode: 42,
      errorMessage: "Broker id must not be empty",
    });
    for (const type of [16, 32]) {
      expect((await rig.describeConfigs(type, "g")).results[0]).toMatchObject({ errorCode: 0, configs: [] });
      expect((await rig.describeConfigs(type, "")).results[0]!.errorCode).toBe(42);
    }
    expect((await rig.describeConfigs(3, "x")).results[0]).toMatchObject({ errorCode: 42, resourceType: 3, resourceName: "x" });
  });
});

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

describe("DescribeCluster", () => {
  test("every version", async () => {
    const rig = await Rig.open();
    for (const version of [0, 1, 2]) {
      const answer = await rig.ask(describeCluster, DescribeCluster, version, {
        includeClusterAuthorizedOperations: version === 1,
        includeFencedBrokers: true,
      });
      expect(answer).toEqual({
        throttleTimeMs: 0,
        errorCode: 0,
        errorMessage: null,
        endpointType: 1,
        clusterId: rig.clusterId,
        controllerId: 7,
        brokers: [{ brokerId: 7, host: "advertised", port: 9092, rack: null, isFenced: false }],
        clusterAuthorizedOperations: version === 1 ? CLUSTER_OPERATIONS : NO_OPERATIONS,
      });
    }
  });

  test("we are no controller", async () => {
    const rig = await Rig.open();
    const ask = (endpointType: number) =>
      rig.ask(describeCluster, DescribeCluster, 1, {
        endpointType,
        includeClusterAuthorizedOperations: false,
        includeFencedBrokers: false,
      });
    expect(await ask(2)).toMatchObject({
      errorCode: 114,
      errorMessage: "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
    });
    expect(await ask(9)).toMatchObject({ errorCode: 115, errorMessage: "Unsupported endpoint type 9" });
  });
});

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
