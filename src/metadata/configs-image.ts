/** What was set for brokers, groups and client-metrics subscriptions, as the store says; a part of the image. Topics have theirs with them. */
import { CONFIG_SCOPES, type ConfigScope } from "./keys.ts";
import type { KV, Rev } from "./store.ts";
import { decodeConfig } from "./values.ts";

/** What was set for one resource, and the revision that put it; 0n when nothing is set. */
export interface SetConfigs {
  readonly mod: Rev;
  readonly entries: ReadonlyMap<string, string>;
}

const NOTHING: SetConfigs = { mod: 0n, entries: new Map() };

export class ConfigsImage {
  private readonly byScope = new Map<ConfigScope, Map<string, SetConfigs>>(CONFIG_SCOPES.map((scope) => [scope, new Map()]));

  /** The broker with this id; "" is all brokers. */
  broker(name: string): ReadonlyMap<string, string> {
    return this.of("broker", name).entries;
  }

  /** The configs that were set for a group: see `effectiveGroupConfig`. */
  group(name: string): ReadonlyMap<string, string> {
    return this.of("group", name).entries;
  }

  of(scope: ConfigScope, name: string): SetConfigs {
    return this.byScope.get(scope)!.get(name) ?? NOTHING;
  }

  /** The resources for which something is set. */
  names(scope: ConfigScope): string[] {
    return [...this.byScope.get(scope)!.keys()];
  }

  /** Takes a value of the store (null: deleted); false when it is what we have. */
  take(scope: ConfigScope, name: string, kv: KV | null): boolean {
    const known = this.byScope.get(scope)!;
    if ((known.get(name)?.mod ?? 0n) === (kv?.mod ?? 0n)) return false;
    if (kv === null) known.delete(name);
    else known.set(name, { mod: kv.mod, entries: decodeConfig(kv) });
    return true;
  }
}
