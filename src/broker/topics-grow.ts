/** CreatePartitions: topics get more partitions, never fewer. Source: ControllerApis.createPartitions, ReplicationControlManager.createPartitions. */
import type { ServerConfig } from "../config/server-options.ts";
import type { MetadataImage, PartitionImage } from "../metadata/image.ts";
import { topicKey } from "../metadata/keys.ts";
import { type KV, MAX_TXN_OPS, type MetadataStore } from "../metadata/store.ts";
import { isInternalTopic } from "../metadata/topic-name.ts";
import { decodeTopic, encodeTopic } from "../metadata/values.ts";
import { KafkaError } from "../protocol/errors.ts";
import { type Growth, planGrowth } from "./topics-plan.ts";

export interface GrowthOptions {
  readonly config: ServerConfig;
  readonly store: MetadataStore;
  readonly image: MetadataImage;
}

export interface GrowthResult {
  readonly name: string;
  /** Null: the topic has its partitions (or would have, with validateOnly). */
  readonly error: KafkaError | null;
}

/** A race that is lost, or an outcome that is unknown, is looked at again so many times. */
const MAX_ATTEMPTS = 10;

/** A growth, the topic that it is for, and that topic as it was last seen in the store. */
interface Wanted {
  readonly growth: Growth;
  readonly topicId: string;
  readonly entry: KV;
}

/** Partitions that may still be made. */
interface Room {
  inRequest: number;
  inBroker: number;
}

/** Each topic for itself; resolves when the partitions are durable and in the image. Names that stand twice come first, then the order of the request. */
export async function growTopics(
  o: GrowthOptions,
  growths: readonly Growth[],
  { validateOnly }: { readonly validateOnly: boolean },
): Promise<GrowthResult[]> {
  const outcome = new Map<string, KafkaError | null>();
  const names = new Set<string>();
  for (const { name } of growths) {
    if (names.has(name)) outcome.set(name, new KafkaError("INVALID_REQUEST", "Duplicate topic name."));
    names.add(name);
  }
  const room = roomFor(o);
  const wanted: Wanted[] = [];
  for (const growth of growths) {
    if (outcome.get(growth.name)?.error === "INVALID_REQUEST") continue;
    const topic = o.image.topicByName(growth.name);
    const planned = topic === undefined ? new KafkaError("UNKNOWN_TOPIC_OR_PARTITION") : plan(o, growth, topic.partitions, room);
    outcome.set(growth.name, planned instanceof KafkaError ? planned : null);
    if (!(planned instanceof KafkaError)) wanted.push({ growth, topicId: topic!.id, entry: o.image.topicEntry(topic!.id)! });
  }
  if (!validateOnly) {
    for (let at = 0; at < wanted.length; at += MAX_TXN_OPS)
      for (const [name, error] of await commit(o, wanted.slice(at, at + MAX_TXN_OPS))) outcome.set(name, error);
  }
  return [...outcome].map(([name, error]) => ({ name, error }));
}

const roomFor = ({ config, image }: GrowthOptions): Room => ({
  inRequest: config.maxPartitionsPerRequest,
  inBroker: config.maxPartitions - image.partitionCount,
});

/** The bounds are looked at before anything is made: a count may be anything. */
function plan(
  { config, image }: GrowthOptions,
  growth: Growth,
  existing: readonly PartitionImage[],
  room: Room,
): PartitionImage[] | KafkaError {
  // Which partition has a group or a transaction follows from their number: with another one, nobody would find theirs again.
  if (isInternalTopic(growth.name))
    return new KafkaError("INVALID_PARTITIONS", `The number of partitions of ${growth.name} cannot be changed.`);
  const more = Math.max(0, growth.count - existing.length);
  if (more > room.inRequest) return new KafkaError("POLICY_VIOLATION", "Excessively large number of partitions per request.");
  if (more > room.inBroker) {
    const detail = `The broker has ${image.partitionCount} partitions and takes at most ${config.maxPartitions} (defaults.max_partitions).`;
    return new KafkaError("POLICY_VIOLATION", detail);
  }
  const planned = planGrowth(
    growth,
    existing,
    image.brokers().map(({ nodeId }) => nodeId),
  );
  if (planned instanceof KafkaError) return planned;
  room.inRequest -= more;
  room.inBroker -= more;
  return planned;
}

/** One transaction for some topics, again for those that changed meanwhile. The error of each, null when it has grown. */
async function commit(o: GrowthOptions, some: readonly Wanted[]): Promise<Map<string, KafkaError | null>> {
  const outcome = new Map<string, KafkaError | null>();
  let wanted = some;
  let isDoubtful = false; // ours may have applied without our knowing
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const ops = [];
    const guard = [];
    for (const { growth, entry } of wanted) {
      const grown = grow(o, growth, entry, isDoubtful);
      if (grown === null || grown instanceof KafkaError) outcome.set(growth.name, grown);
      else {
        guard.push({ key: entry.key, mod: entry.mod });
        ops.push({ put: entry.key, value: grown });
      }
    }
    wanted = wanted.filter(({ growth }) => !outcome.has(growth.name));
    if (wanted.length === 0) return outcome;
    const result = await o.store.txn(guard, ops);
    if (result.kind === "applied") {
      await o.image.reached(result.rev);
      for (const { growth } of wanted) outcome.set(growth.name, null);
      return outcome;
    }
    isDoubtful ||= result.kind === "unknown";
    wanted = await seenAgain(o, wanted, outcome);
  }
  throw new KafkaError("REQUEST_TIMED_OUT");
}

/** The topic's value with its new partitions; null if it has them already, by a transaction of ours that we lost sight of. */
function grow(o: GrowthOptions, growth: Growth, entry: KV, isDoubtful: boolean): Uint8Array | KafkaError | null {
  const topic = decodeTopic(entry);
  if (topic.state !== "live") return new KafkaError("UNKNOWN_TOPIC_OR_PARTITION");
  if (isDoubtful && topic.partitions.length === growth.count) return null;
  const planned = plan(o, growth, topic.partitions, roomFor(o));
  return planned instanceof KafkaError ? planned : encodeTopic({ ...topic, partitions: [...topic.partitions, ...planned] });
}

/** The topics as they stand in the store now; those that are gone get their outcome. */
async function seenAgain(
  o: GrowthOptions,
  wanted: readonly Wanted[],
  outcome: Map<string, KafkaError | null>,
): Promise<Wanted[]> {
  const { rev, kvs } = await o.store.snapshot(topicKey(""));
  await o.image.reached(rev);
  const byKey = new Map(kvs.map((kv) => [kv.key, kv]));
  const still: Wanted[] = [];
  for (const { growth, topicId } of wanted) {
    const entry = byKey.get(topicKey(topicId));
    if (entry === undefined) outcome.set(growth.name, new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    else still.push({ growth, topicId, entry });
  }
  return still;
}
