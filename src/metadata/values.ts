/**
 * What stands under the keys of keys.ts. Every value begins with its version (int16); a schema that grows gets a next one, and a
 * value of a version that we do not know stops the start: a newer quarkmq wrote it.
 */
import { Reader } from "../bytes/reader.ts";
import { dataCodec } from "../protocol/compile.ts";
import {
  array,
  type Data,
  type DataInput,
  type DataOf,
  data,
  type Fields,
  int8,
  int16,
  int32,
  int64,
  parseVersions,
  string,
  uuid,
} from "../protocol/schema.ts";
import { encodeVersioned, versionOf } from "../protocol/versioned.ts";
import { NewerMetadata } from "./keys.ts";
import type { KV } from "./store.ts";

/** The format of keys and values as a whole; a change that older versions must not overlook raises it. */
export const METADATA_FORMAT = 1;

const VERSION_BYTES = 2;

const clusterValue = data({
  name: "metadata cluster",
  declared: "0",
  flexible: "0+",
  fields: { clusterId: string(), format: int16().about("METADATA_FORMAT of the newest writer"), createdAtMs: int64() },
});

const featuresValue = data({
  name: "metadata features",
  declared: "0",
  flexible: "0+",
  fields: { features: array({ name: string(), level: int16() }) },
});

const topicValue = data({
  name: "metadata topic",
  declared: "0",
  flexible: "0+",
  fields: {
    name: string(),
    state: int8().about("0 live, 1 being deleted"),
    partitions: array({
      leader: int32(),
      leaderEpoch: int32(),
      partitionEpoch: int32(),
      replicas: array(int32()),
      isr: array(int32()),
    }).about("partition n stands at n"),
  },
});

const topicNameValue = data({
  name: "metadata topic name",
  declared: "0",
  flexible: "0+",
  fields: { name: string(), topicId: uuid() },
});

/** What was set for a topic, a broker, a group or a subscription. */
const configValue = data({
  name: "metadata config",
  declared: "0",
  flexible: "0+",
  fields: { entries: array({ name: string(), value: string() }) },
});

const producerIdBlockValue = data({
  name: "metadata producer id block",
  declared: "0",
  flexible: "0+",
  fields: { nextProducerId: int64().about("no broker has this id or one above it") },
});

const incarnationValue = data({
  name: "metadata incarnation",
  declared: "0",
  flexible: "0+",
  fields: { incarnation: int64().about("starts of the broker so far") },
});

const brokerValue = data({
  name: "metadata broker",
  declared: "0",
  flexible: "0+",
  fields: { incarnation: int64(), host: string(), port: int32(), rack: string().nullable() },
});

export interface PartitionValue {
  readonly index: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

const TOPIC_STATES = ["live", "deleting"] as const;
export type TopicState = (typeof TOPIC_STATES)[number];

export interface TopicValue {
  readonly name: string;
  readonly state: TopicState;
  readonly partitions: readonly PartitionValue[];
}

export interface BrokerValue {
  readonly nodeId: number;
  readonly incarnation: number;
  /** Where clients reach it, unless it says otherwise itself. */
  readonly host: string;
  readonly port: number;
  readonly rack: string | null;
}

export const encodeCluster = (value: DataInput<typeof clusterValue>): Uint8Array => encode(clusterValue, value);
/** Throws NewerMetadata when a newer version has changed the format as a whole. */
export function decodeCluster(kv: KV): DataOf<typeof clusterValue> {
  const value = decode(clusterValue, kv);
  if (value.format > METADATA_FORMAT)
    throw new NewerMetadata(`metadata format ${value.format}, this one knows ${METADATA_FORMAT}`);
  return value;
}

export const encodeFeatures = (features: ReadonlyMap<string, number>): Uint8Array =>
  encode(featuresValue, { features: [...features].map(([name, level]) => ({ name, level })) });
export const decodeFeatures = (kv: KV): ReadonlyMap<string, number> =>
  new Map(decode(featuresValue, kv).features.map(({ name, level }) => [name, level]));

export function encodeTopic({ name, state, partitions }: TopicValue): Uint8Array {
  const stored = partitions.map((partition) => ({ ...partition, replicas: [...partition.replicas], isr: [...partition.isr] }));
  return encode(topicValue, { name, state: TOPIC_STATES.indexOf(state), partitions: stored });
}
export function decodeTopic(kv: KV): TopicValue {
  const { name, state, partitions } = decode(topicValue, kv);
  const known = TOPIC_STATES[state];
  if (known === undefined) throw new NewerMetadata(`${kv.key} is in the unknown state ${state}`);
  return { name, state: known, partitions: partitions.map((partition, index) => ({ index, ...partition })) };
}

export const encodeTopicName = (value: DataInput<typeof topicNameValue>): Uint8Array => encode(topicNameValue, value);
export const decodeTopicName = (kv: KV): DataOf<typeof topicNameValue> => decode(topicNameValue, kv);

export const encodeConfig = (entries: ReadonlyMap<string, string>): Uint8Array =>
  encode(configValue, { entries: [...entries].map(([name, value]) => ({ name, value })) });
export const decodeConfig = (kv: KV): ReadonlyMap<string, string> =>
  new Map(decode(configValue, kv).entries.map(({ name, value }) => [name, value]));

export const encodeProducerIdBlock = (value: DataInput<typeof producerIdBlockValue>): Uint8Array =>
  encode(producerIdBlockValue, value);
export const decodeProducerIdBlock = (kv: KV): DataOf<typeof producerIdBlockValue> => decode(producerIdBlockValue, kv);

export const encodeIncarnation = (value: DataInput<typeof incarnationValue>): Uint8Array => encode(incarnationValue, value);
export const decodeIncarnation = (kv: KV): DataOf<typeof incarnationValue> => decode(incarnationValue, kv);

export const encodeBroker = (value: Omit<BrokerValue, "nodeId">): Uint8Array => encode(brokerValue, value);
/** The id stands in the key. */
export const decodeBroker = (kv: KV): BrokerValue => ({ nodeId: Number(kv.key.split("/")[1]), ...decode(brokerValue, kv) });

function newest(schema: Data<Fields>): number {
  return parseVersions(schema.declared)!.max;
}

function encode<F extends Fields>(schema: Data<F>, value: DataInput<Data<F>>): Uint8Array {
  return new Uint8Array(encodeVersioned(schema, newest(schema), value)); // without the rest of the writer's scratch
}

function decode<F extends Fields>(schema: Data<F>, kv: KV): DataOf<Data<F>> {
  const version = versionOf(kv.value);
  if (version > newest(schema)) throw new NewerMetadata(`${kv.key} has version ${version}, this one knows ${newest(schema)}`);
  const reader = new Reader(kv.value, VERSION_BYTES);
  reader.itemsLeft = Number.POSITIVE_INFINITY; // our own bytes, vouched for by the checksum of their batch
  return dataCodec(schema, version).decode(reader);
}
