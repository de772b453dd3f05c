/**
 * Some records of Kafka's own metadata log (__cluster_metadata, KRaft): those that tell what an imported topic is. Only read. Each
 * value begins with three unsigned varints: the frame's version, the record's type, its version. Source: MetadataRecordSerde.
 */
import { array, type Data, data, type Fields, int8, int32, int64, string, uuid } from "../schema.ts";

/** The only version of the frame that there is. */
export const FRAME_VERSION = 1;

/** Types of the records below, and of those that bracket records which count together or not at all (KIP-868). */
export const MetadataRecordType = {
  topic: 2,
  partition: 3,
  config: 4,
  partitionChange: 5,
  removeTopic: 9,
  producerIds: 15,
  beginTransaction: 23,
  endTransaction: 24,
  abortTransaction: 25,
} as const;

const record = <F extends Fields>(name: string, declared: Data<F>["declared"], fields: F): Data<F> =>
  data({ name, declared, flexible: "0+", fields });

export const TopicRecord = record("TopicRecord", "0", { name: string(), topicId: uuid() });

export const PartitionRecord = record("PartitionRecord", "0-2", {
  partitionId: int32().default(-1),
  topicId: uuid(),
  replicas: array(int32()),
  isr: array(int32()),
  removingReplicas: array(int32()),
  addingReplicas: array(int32()),
  leader: int32().default(-1),
  leaderRecoveryState: int8().tagged(0),
  leaderEpoch: int32().default(-1),
  partitionEpoch: int32().default(-1),
  directories: array(uuid(), "1+"),
  eligibleLeaderReplicas: array(int32(), "2+").nullable().default(null).tagged(1),
  lastKnownElr: array(int32(), "2+").nullable().default(null).tagged(2),
});

const changed = () => array(int32()).nullable().default(null);

/** What is not there has not changed; a leader that is named, were it the same, begins a new leader epoch. */
export const PartitionChangeRecord = record("PartitionChangeRecord", "0-2", {
  partitionId: int32().default(-1),
  topicId: uuid(),
  isr: changed().tagged(0),
  leader: int32().default(-2).tagged(1),
  replicas: changed().tagged(2),
  removingReplicas: changed().tagged(3),
  addingReplicas: changed().tagged(4),
  leaderRecoveryState: int8().default(-1).tagged(5),
  eligibleLeaderReplicas: array(int32(), "2+").nullable().default(null).tagged(6),
  lastKnownElr: array(int32(), "2+").nullable().default(null).tagged(7),
  directories: array(uuid(), "1+").nullable().default(null).tagged(8),
});

/** The resource type of topics is 2. A null value removes the config. */
export const ConfigRecord = record("ConfigRecord", "0", {
  resourceType: int8(),
  resourceName: string(),
  name: string(),
  value: string().nullable(),
});

export const RemoveTopicRecord = record("RemoveTopicRecord", "0", { topicId: uuid() });

export const ProducerIdsRecord = record("ProducerIdsRecord", "0", {
  brokerId: int32(),
  brokerEpoch: int64(),
  nextProducerId: int64().about("no producer has this id or one above it"),
});
