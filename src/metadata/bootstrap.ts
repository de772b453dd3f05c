/**
 * What a broker does with the metadata store before anything else: makes the cluster on the first start, counts its own starts, and
 * registers itself. Nothing is made twice: two brokers that start at once agree on one cluster.
 */
import { type Random, randomUuid } from "../io/random.ts";
import { levelsAtStart } from "./features.ts";
import { brokerKey, CLUSTER_KEY, FEATURES_KEY, INCARNATION_PREFIX, incarnationKey } from "./keys.ts";
import type { Cmp, KV, MetadataStore, Op } from "./store.ts";
import {
  decodeCluster,
  decodeFeatures,
  decodeIncarnation,
  encodeBroker,
  encodeCluster,
  encodeFeatures,
  encodeIncarnation,
  METADATA_FORMAT,
} from "./values.ts";

export interface BootstrapOptions {
  readonly store: MetadataStore;
  readonly random: Random;
  readonly nowMs: number;
  readonly nodeId: number;
  /** Where clients reach this broker, for those that ask another one. */
  readonly host: string;
  readonly port: number;
  readonly rack?: string | null;
  /** How the metadata came here: an embedded store belongs to one broker, so it holds no other's incarnation. Default true. */
  readonly embedded?: boolean;
}

export interface Bootstrapped {
  readonly clusterId: string;
  /** Starts of this broker, this one included: 1 at first. */
  readonly incarnation: number;
}

/** The data directory was made by another broker than the one that starts. The message is for the operator. */
export class ForeignMetadata extends Error {
  override name = "ForeignMetadata";
}

/** How long a broker may be silent before its registration goes; the embedded store does not look at it. */
const SESSION_TTL_MS = 10_000;
const MAX_ATTEMPTS = 20;
const NO_FEATURES: ReadonlyMap<string, number> = new Map();

/** Rejects with ForeignMetadata, NewerMetadata, or a KafkaError when the store cannot be written. */
export async function bootstrap(o: BootstrapOptions): Promise<Bootstrapped> {
  const session = await o.store.openSession(SESSION_TTL_MS);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { kvs } = await o.store.snapshot("");
    const byKey = new Map(kvs.map((kv) => [kv.key, kv]));
    const plan = planStart(o, byKey, session.id);
    const result = await o.store.txn(plan.guard, plan.ops);
    if (result.kind === "applied") return plan.outcome;
    // Lost to another broker, or unknown: what came of it stands in the store, and a start counted twice does no harm.
  }
  throw new Error("the metadata store could not be written: too many conflicts");
}

function planStart(
  o: BootstrapOptions,
  byKey: ReadonlyMap<string, KV>,
  session: string,
): { guard: Cmp[]; ops: Op[]; outcome: Bootstrapped } {
  const cluster = byKey.get(CLUSTER_KEY);
  if ((o.embedded ?? true) && cluster !== undefined) checkOwner(o.nodeId, decodeCluster(cluster).clusterId, byKey);
  const clusterId = cluster === undefined ? randomUuid(o.random) : decodeCluster(cluster).clusterId;
  const countKey = incarnationKey(o.nodeId);
  const count = byKey.get(countKey);
  const incarnation = (count === undefined ? 0 : decodeIncarnation(count).incarnation) + 1;
  const features = byKey.get(FEATURES_KEY);
  const guard: Cmp[] = [
    { key: CLUSTER_KEY, create: cluster?.create ?? 0n },
    { key: countKey, mod: count?.mod ?? 0n },
    { key: FEATURES_KEY, mod: features?.mod ?? 0n },
  ];
  const ops: Op[] = [
    { put: countKey, value: encodeIncarnation({ incarnation }) },
    {
      put: brokerKey(o.nodeId),
      value: encodeBroker({ incarnation, host: o.host, port: o.port, rack: o.rack ?? null }),
      session,
    },
  ];
  if (cluster === undefined) {
    ops.push({ put: CLUSTER_KEY, value: encodeCluster({ clusterId, format: METADATA_FORMAT, createdAtMs: o.nowMs }) });
  }
  const decided = features === undefined ? NO_FEATURES : decodeFeatures(features);
  const levels = levelsAtStart(decided);
  if (levels.size > decided.size) ops.push({ put: FEATURES_KEY, value: encodeFeatures(levels) });
  return { guard, ops, outcome: { clusterId, incarnation } };
}

/** Topics name their replicas by node id: under another id, this broker would lead nothing. */
function checkOwner(nodeId: number, clusterId: string, byKey: ReadonlyMap<string, KV>): void {
  for (const key of byKey.keys()) {
    if (!key.startsWith(INCARNATION_PREFIX) || key === incarnationKey(nodeId)) continue;
    const owner = key.slice(INCARNATION_PREFIX.length);
    throw new ForeignMetadata(
      `the data directory belongs to the broker with node id ${owner} (cluster ${clusterId}), but this one is configured with node id ${nodeId}: set node id ${owner}, or use another data directory`,
    );
  }
}
