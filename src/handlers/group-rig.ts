/** For tests: the handlers of the group APIs over a coordinator in memory, through the codecs of each version. */
import { silentLogger } from "../base/logger.ts";
import type { Broker } from "../broker/broker.ts";
import { RigClock, RigPartition, rigRandom } from "../broker/coordinator-host-rig.ts";
import { GroupCoordinator, type GroupSurroundings } from "../broker/group-coordinator.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { defaultServerConfig } from "../config/server-options.ts";
import { Deadlines } from "../io/deadlines.ts";
import { GROUP_METADATA_TOPIC } from "../metadata/topic-name.ts";
import { requestCodec, responseCodec } from "../protocol/compile.ts";
import { KafkaError } from "../protocol/errors.ts";
import { JoinGroup } from "../protocol/messages/11-join-group.ts";
import { SyncGroup } from "../protocol/messages/14-sync-group.ts";
import type { AnyApi, RequestInput, Response } from "../protocol/schema.ts";
import { joinGroup } from "./11-join-group.ts";
import { syncGroup } from "./14-sync-group.ts";
import type { Call, Handler } from "./handler.ts";

/** Of the topic "t" with partitions 0 and 1. */
export const T_ID = "dHR0dHR0dHR0dHR0dHR0dA";
export const UNKNOWN_ID = "dXV1dXV1dXV1dXV1dXV1dQ";
export const UUID_1 = "01010101-0101-4101-8101-010101010101";

export class GroupRig {
  readonly clock = new RigClock();
  readonly partition = new RigPartition();
  readonly broker: Broker;
  topicExists: boolean;
  creationFails = false;
  /** What was set for groups. */
  readonly groupConfigs = new Map<string, ReadonlyMap<string, string>>();
  groupVersion = 1;

  constructor(topicExists = true) {
    this.topicExists = topicExists;
    const t = { name: "t", id: T_ID, isInternal: false, configs: new Map(), partitions: [{}, {}] };
    const offsetsTopic = { ...t, name: GROUP_METADATA_TOPIC, id: "o", partitions: [{}] };
    const surroundings = {
      config: defaultServerConfig({ groupInitialRebalanceDelayMs: 0, groupMaxSize: 10 }),
      clock: this.clock,
      deadlines: new Deadlines(this.clock),
      random: rigRandom(),
      logger: silentLogger,
      image: {
        topicByName: (name: string) =>
          name === "t" ? t : name === GROUP_METADATA_TOPIC && this.topicExists ? offsetsTopic : undefined,
        topicById: (id: string) => (id === T_ID ? t : undefined),
        onTopicCreated() {},
        rev: 1n,
        broker: () => undefined,
        configs: { group: (id: string) => this.groupConfigs.get(id) ?? new Map() },
        featureLevel: () => this.groupVersion,
        topics: () => [t, offsetsTopic],
      },
      topics: {
        ensureInternal: async () => {
          if (this.creationFails) throw new KafkaError("KAFKA_STORAGE_ERROR");
          this.topicExists = true;
          return offsetsTopic;
        },
      },
      partition: () => this.partition,
      topicConfig: () => ({ maxMessageBytes: 1_048_588, segmentBytes: 1_073_741_824 }),
      nodeId: 7,
      endpoint: () => ({ host: "here", port: 9092 }),
    };
    const groups = new GroupCoordinator(surroundings as unknown as GroupSurroundings);
    this.broker = { ...surroundings, groups } as unknown as Broker;
  }

  /** Sends a request through the wire form of its version; the answer comes back the same way. */
  ask<A extends AnyApi>(handler: Handler, api: A, version: number, request: RequestInput<A>): Promise<Response<A>> {
    const writer = new Writer(64);
    requestCodec(api, version).encode(writer, request);
    return new Promise((resolve) => {
      const call = {
        broker: this.broker,
        connection: { remoteAddress: "127.0.0.1" },
        api,
        version,
        clientId: "c",
        request: requestCodec(api, version).decode(new Reader(writer.finishOne())),
        reply(response: unknown) {
          const w = new Writer(64);
          responseCodec(api, version).encode(w, response as never);
          resolve(responseCodec(api, version).decode(new Reader(w.finishOne())) as Response<A>);
        },
        fail(error: KafkaError) {
          call.reply(handler.onError(error, call as unknown as Call<AnyApi>));
        },
        releaseRequest() {},
      };
      try {
        const done = handler.handle(call as unknown as Call<AnyApi>);
        done?.catch((error: KafkaError) => call.fail(error));
      } catch (error) {
        call.fail(error as KafkaError);
      }
    });
  }

  async join(version: number, request: Partial<RequestInput<typeof JoinGroup>> = {}): Promise<Response<typeof JoinGroup>> {
    const protocols = [{ name: "range", metadata: Buffer.from("m") }];
    const usual = { groupId: "g", sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 20_000, memberId: "", protocolType: "consumer" };
    const answer = this.ask(joinGroup, JoinGroup, version, { ...usual, protocols, ...request });
    this.clock.advance(1);
    return await answer;
  }

  /** One member, in generation 1, stable. Returns its id. */
  async member(): Promise<string> {
    const { memberId, generationId } = await this.join(3);
    const assignments = [{ memberId, assignment: Buffer.from("a") }];
    await this.ask(syncGroup, SyncGroup, 3, { groupId: "g", generationId, memberId, assignments });
    return memberId;
  }
}
