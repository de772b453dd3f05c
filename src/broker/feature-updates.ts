/** Changes the feature levels of the cluster in the metadata store. What they may be: metadata/features.ts. Source: QuorumController.updateFeatures. */
import { type FeatureUpdate, planUpdates } from "../metadata/features.ts";
import type { MetadataImage } from "../metadata/image.ts";
import { FEATURES_KEY } from "../metadata/keys.ts";
import type { KV, MetadataStore } from "../metadata/store.ts";
import { decodeFeatures, encodeFeatures } from "../metadata/values.ts";
import { KafkaError } from "../protocol/errors.ts";

/** A race that is lost, or an outcome that is unknown, is looked at again so many times: an update changes nothing the second time. */
const MAX_ATTEMPTS = 10;

export interface FeatureUpdatesOptions {
  readonly store: MetadataStore;
  readonly image: MetadataImage;
  readonly nodeId: number;
}

/** All of the updates or none. Resolves when they are durable and in the image; rejects with INVALID_UPDATE_VERSION for the first that may not be. */
export async function updateFeatures(
  { store, image, nodeId }: FeatureUpdatesOptions,
  updates: readonly FeatureUpdate[],
  { validateOnly }: { readonly validateOnly: boolean },
): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { rev, kvs } = await store.snapshot(FEATURES_KEY);
    const stored: KV | undefined = kvs.find(({ key }) => key === FEATURES_KEY);
    const planned = planUpdates(stored === undefined ? new Map() : decodeFeatures(stored), updates, nodeId);
    if (planned instanceof KafkaError) throw planned;
    if (validateOnly) return;
    const guard = [{ key: FEATURES_KEY, mod: stored?.mod ?? 0n }];
    const result = await store.txn(guard, [{ put: FEATURES_KEY, value: encodeFeatures(planned) }]);
    if (result.kind === "applied") return image.reached(result.rev);
    if (result.kind === "conflict") await image.reached(rev);
  }
  throw new KafkaError("REQUEST_TIMED_OUT");
}
