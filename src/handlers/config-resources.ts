/** What configs are described and altered for, as it stands in requests, and what altering requests have in common. Source: ConfigAdminManager. */
import type { ChangedResource } from "../broker/config-changes-plan.ts";
import { KafkaError } from "../protocol/errors.ts";

/** ConfigResource.Type. */
export const ConfigResourceType = { TOPIC: 2, BROKER: 4, BROKER_LOGGER: 8, CLIENT_METRICS: 16, GROUP: 32 } as const;

const SCOPES: ReadonlyMap<number, ChangedResource["scope"]> = new Map([
  [ConfigResourceType.TOPIC, "topic"],
  [ConfigResourceType.BROKER, "broker"],
  [ConfigResourceType.CLIENT_METRICS, "client-metrics"],
  [ConfigResourceType.GROUP, "group"],
]);

/** Whose configs are kept. Throws for a type that has none. */
export function scopeOf(resourceType: number): ChangedResource["scope"] {
  const scope = SCOPES.get(resourceType);
  if (scope === undefined) throw new KafkaError("INVALID_REQUEST", `Unknown resource type ${resourceType}`);
  return scope;
}

interface Resource {
  readonly resourceType: number;
  readonly resourceName: string;
}

interface Response extends Resource {
  readonly errorCode: number;
  readonly errorMessage: string | null;
}

/** Alters each resource for itself, those that stand twice not at all; answers in the order of the request. */
export function alterEach<R extends Resource>(
  resources: readonly R[],
  alter: (resource: R) => Promise<void> | void,
): Promise<Response[]> {
  const keyOf = ({ resourceType, resourceName }: R): string => `${resourceType} ${resourceName}`;
  const counts = new Map<string, number>();
  for (const resource of resources) counts.set(keyOf(resource), (counts.get(keyOf(resource)) ?? 0) + 1);
  const altered = async (resource: R): Promise<Response> => {
    const { resourceType, resourceName } = resource;
    try {
      if (counts.get(keyOf(resource))! > 1) throw new KafkaError("INVALID_REQUEST", "Each resource must appear at most once.");
      await alter(resource);
      return { resourceType, resourceName, errorCode: 0, errorMessage: null };
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error;
      return { resourceType, resourceName, errorCode: error.code, errorMessage: error.message };
    }
  };
  return Promise.all(resources.map(altered));
}

/** Throws when a name stands twice, or a value that is needed is null. */
export function checkConfigNames<C extends { readonly name: string; readonly value: string | null }>(
  configs: readonly C[],
  needsValue: (config: C) => boolean,
): void {
  if (new Set(configs.map(({ name }) => name)).size !== configs.length)
    throw new KafkaError("INVALID_REQUEST", "Error due to duplicate config keys");
  const nulls = configs.filter((config) => needsValue(config) && config.value === null).map(({ name }) => name);
  if (nulls.length > 0) throw new KafkaError("INVALID_REQUEST", `Null value not supported for : ${nulls.join(", ")}`);
}
