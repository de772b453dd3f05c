/**
 * Configs as admin requests change them: of topics, of this broker and of all, of groups and of client-metrics subscriptions. A resource
 * changes whole or not at all: one guarded transaction each. What is decided here goes into the metadata store and comes back through the
 * image; nothing else is told of it. What may be set: config-changes-plan.ts. Source: ConfigurationControlManager.
 */
import type { MetadataImage } from "../metadata/image.ts";
import { resourceConfigKey, topicConfigKey, topicKey } from "../metadata/keys.ts";
import type { Cmp, MetadataStore, Rev } from "../metadata/store.ts";
import { decodeConfig, encodeConfig } from "../metadata/values.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  type ChangeContext,
  type ChangedResource,
  type ConfigStep,
  checkConfigs,
  type Texts,
  takeSteps,
} from "./config-changes-plan.ts";
import type { LiveConfig } from "./live-config.ts";

export interface ConfigChangesOptions {
  readonly store: MetadataStore;
  readonly image: MetadataImage;
  readonly liveConfig: LiveConfig;
}

/** A race that is lost, or an outcome that is unknown, is looked at again so many times. */
const MAX_ATTEMPTS = 10;

interface Known {
  readonly entries: Texts;
  readonly mod: Rev;
}

export class ConfigChanges {
  private readonly o: ConfigChangesOptions;

  constructor(o: ConfigChangesOptions) {
    this.o = o;
  }

  /** Takes the steps in their order. Resolves when the change is durable and in effect; rejects with a KafkaError, then nothing changed. */
  alter(resource: ChangedResource, steps: readonly ConfigStep[], validateOnly: boolean): Promise<void> {
    return this.change(resource, (before) => takeSteps(resource, before, steps), validateOnly);
  }

  /** Replaces everything that is set. Resolves and rejects as `alter` does. */
  replace(resource: ChangedResource, configs: Texts, validateOnly: boolean): Promise<void> {
    return this.change(resource, () => configs, validateOnly);
  }

  private async change(resource: ChangedResource, change: (before: Texts) => Texts, validateOnly: boolean): Promise<void> {
    const { store, image } = this.o;
    let known = this.known(resource);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const after = change(known.entries);
      checkConfigs(resource, known.entries, after, this.context());
      this.checkBounds(resource, known, after);
      const { key, guard } = this.place(resource, known.mod);
      if (validateOnly || isSame(known.entries, after)) return;
      const result = await store.txn(guard, [after.size === 0 ? { del: key } : { put: key, value: encodeConfig(after) }]);
      if (result.kind === "applied") return await image.reached(result.rev);
      if (result.kind === "conflict") {
        const kv = result.current.get(key);
        known = { entries: kv === undefined ? new Map() : decodeConfig(kv), mod: kv?.mod ?? 0n };
      }
      await image.reached(await store.barrier()); // what we lost to, or what came of ours
      if (result.kind === "unknown") known = this.known(resource);
    }
    throw new KafkaError("REQUEST_TIMED_OUT");
  }

  /** Ours, not Kafka's: names of groups and of brokers' configs are the client's choice, and all of it is kept. */
  private checkBounds({ scope }: ChangedResource, before: Known, after: Texts): void {
    const { maxConfigBytes, maxConfiguredResources } = this.o.liveConfig.current;
    let bytes = 0;
    for (const [name, text] of after) bytes += Buffer.byteLength(name) + Buffer.byteLength(text);
    if (bytes > maxConfigBytes)
      throw new KafkaError(
        "POLICY_VIOLATION",
        `The configs would take ${bytes} bytes, and may take ${maxConfigBytes} (defaults.max_config_bytes).`,
      );
    if ((scope !== "group" && scope !== "client-metrics") || before.entries.size > 0 || after.size === 0) return;
    if (this.o.image.configs.names(scope).length < maxConfiguredResources) return;
    const detail = `There are ${maxConfiguredResources} with configs already (defaults.max_configured_resources).`;
    throw new KafkaError("POLICY_VIOLATION", detail);
  }

  private context(): ChangeContext {
    const { image, liveConfig } = this.o;
    const { fixed, current, dynamic } = liveConfig;
    return { fixed, current, dynamic, features: image.features };
  }

  private known({ scope, name }: ChangedResource): Known {
    const { image } = this.o;
    if (scope !== "topic") return image.configs.of(scope, keyName(scope, name));
    const topic = image.topicByName(name);
    return topic === undefined
      ? { entries: new Map(), mod: 0n }
      : { entries: topic.configs, mod: image.topicConfigRev(topic.id) };
  }

  /** The key of a resource's configs, and what must hold for them to be put. Throws for a topic that does not exist. */
  private place({ scope, name }: ChangedResource, mod: Rev): { readonly key: string; readonly guard: Cmp[] } {
    if (scope !== "topic") {
      const key = resourceConfigKey(scope, keyName(scope, name));
      return { key, guard: [{ key, mod }] };
    }
    const { image } = this.o;
    const topic = image.topicByName(name);
    const entry = topic === undefined ? undefined : image.topicEntry(topic.id);
    if (topic === undefined || entry === undefined)
      throw new KafkaError("UNKNOWN_TOPIC_OR_PARTITION", `The topic '${name}' does not exist.`);
    const key = topicConfigKey(topic.id);
    // A topic that is deleted meanwhile takes no configs any more: nobody would remove them.
    return {
      key,
      guard: [
        { key, mod },
        { key: topicKey(topic.id), mod: entry.mod },
      ],
    };
  }
}

/** "+0" is broker 0. */
const keyName = (scope: string, name: string): string => (scope === "broker" && name !== "" ? String(Number(name)) : name);

const isSame = (a: Texts, b: Texts): boolean => a.size === b.size && [...a].every(([name, text]) => b.get(name) === text);
