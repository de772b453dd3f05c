/** For tests of the handlers of metadata and topic administration: a store in memory, and requests through the codecs of their version. */
import { silentLogger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import { BrokerLogger } from "../broker/broker-logger.ts";
import { ConfigChanges } from "../broker/config-changes.ts";
import { LiveConfig } from "../broker/live-config.ts";
import { Topics } from "../broker/topics.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { realRandom } from "../io/random.ts";
import { bootstrap } from "../metadata/bootstrap.ts";
import { MetadataImage } from "../metadata/image.ts";
import { FEATURES_KEY } from "../metadata/keys.ts";
import { MemoryStore } from "../metadata/memory-store.ts";
import { encodeFeatures } from "../metadata/values.ts";
import { requestCodec, responseCodec } from "../protocol/compile.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Metadata } from "../protocol/messages/03-metadata.ts";
import { CreateTopics } from "../protocol/messages/19-create-topics.ts";
import { DescribeConfigs } from "../protocol/messages/32-describe-configs.ts";
import { IncrementalAlterConfigs } from "../protocol/messages/44-incremental-alter-configs.ts";
import { type AnyApi, type RequestInput, type Response, ZERO_UUID } from "../protocol/schema.ts";
import { metadata } from "./03-metadata.ts";
import { createTopics } from "./19-create-topics.ts";
import { describeConfigs } from "./32-describe-configs.ts";
import { incrementalAlterConfigs } from "./44-incremental-alter-configs.ts";
import type { Call, Handler } from "./handler.ts";

/** The client did not ask. */
export const NO_OPERATIONS = -2147483648;
/** READ to ALTER_CONFIGS of a topic: bits 3 4 5 6 7 8 10 11. */
export const TOPIC_OPERATIONS = 0b1101_1111_1000;
/** CREATE ALTER DESCRIBE CLUSTER_ACTION DESCRIBE_CONFIGS ALTER_CONFIGS IDEMPOTENT_WRITE: bits 5 7 8 9 10 11 12. */
export const CLUSTER_OPERATIONS = 0b1_1111_1010_0000;
/** A topic id that no topic has. */
export const UNKNOWN_ID = "ABCDEFGHIJKLMNOPQRSTUQ";

/** AlterConfigOp.OpType. */
export const OPERATIONS = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3, UNKNOWN: 9 } as const;

export class Rig {
  readonly store = new MemoryStore();
  readonly image = new MetadataImage((error) => {
    throw error;
  });
  clusterId = "";
  /** What is in effect. */
  config!: ServerConfig;
  private broker!: Broker;

  /** `features`: levels that were decided before this start. */
  static async open(changes: Partial<ServerConfig> = {}, features?: ReadonlyMap<string, number>): Promise<Rig> {
    const rig = new Rig();
    const { store, image } = rig;
    const liveConfig = new LiveConfig(defaultServerConfig({ nodeId: 7, ...changes }), image, silentLogger);
    const config = liveConfig.current;
    rig.config = config;
    const topics = new Topics({ config, store, image, random: realRandom, logger: silentLogger });
    if (features !== undefined) await store.txn([], [{ put: FEATURES_KEY, value: encodeFeatures(features) }]);
    const booted = await bootstrap({ store, random: realRandom, nowMs: 0, nodeId: 7, host: "registered", port: 1 });
    rig.clusterId = booted.clusterId;
    await image.follow(store);
    const endpoint = () => ({ host: "advertised", port: 9092 });
    const ownLogger = new BrokerLogger(silentLogger, config.logLevel);
    const configChanges = new ConfigChanges({ store, image, liveConfig });
    const { incarnation } = booted;
    const parts = { config, liveConfig, configChanges, ownLogger, image, store, topics, endpoint, incarnation, nodeId: 7 };
    rig.broker = parts as unknown as Broker;
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

  /** Steps as [name, operation, value]; gives the error of each resource. */
  alter = async (
    resources: readonly [type: number, name: string, steps: readonly [string, keyof typeof OPERATIONS, (string | null)?][]][],
    validateOnly = false,
  ): Promise<[number, string | null][]> => {
    const { responses } = await this.ask(incrementalAlterConfigs, IncrementalAlterConfigs, 1, {
      validateOnly,
      resources: resources.map(([resourceType, resourceName, steps]) => ({
        ...{ resourceType, resourceName },
        configs: steps.map(([name, op, value = null]) => ({ name, configOperation: OPERATIONS[op], value })),
      })),
    });
    return responses.map(({ errorCode, errorMessage }) => [errorCode, errorMessage]);
  };

  /** Everything that DescribeConfigs says of one config: value, source, synonyms. */
  described = async (
    resourceType: number,
    resourceName: string,
    name: string,
  ): Promise<[string | null, number, string[]] | null> => {
    const { results } = await this.describeConfigs(resourceType, resourceName, [name], { includeSynonyms: true });
    const entry = results[0]!.configs[0];
    if (entry === undefined) return null;
    return [entry.value, entry.configSource, entry.synonyms.map((each) => `${each.source}:${each.name}=${each.value}`)];
  };

  id = (name: string): string => this.image.topicByName(name)!.id;
}

export const asked = (...names: (string | null)[]) => names.map((name) => ({ name, topicId: ZERO_UUID }));
export const askedIds = (...ids: string[]) => ids.map((topicId) => ({ name: null, topicId }));
export const errors = (topics: readonly { errorCode: number; name: string | null }[]) =>
  topics.map(({ name, errorCode }) => [name, errorCode]);
