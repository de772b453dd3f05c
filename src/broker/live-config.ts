/**
 * The configuration of a running broker: what it started with, under what was set since, for all brokers and for this one. `current` is one
 * object for as long as the broker lives, and changes in place: whoever holds it reads what is in effect. Source: DynamicBrokerConfig.
 */
import type { Logger } from "../base/logger.ts";
import { type DynamicTexts, staticBrokerTexts, withDynamic } from "../config/broker-values.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { MetadataImage } from "../metadata/image.ts";

/** Everything that a value of a broker's config can come from, by Kafka's names. */
export interface BrokerLayers extends DynamicTexts {
  readonly statics: ReadonlyMap<string, string>;
}

export class LiveConfig {
  readonly current: ServerConfig;
  /** What the broker started with. */
  readonly fixed: ServerConfig;
  /** Called when something else is in effect. */
  onChanged: (() => void) | null = null;
  private readonly image: MetadataImage;

  /** Registers with the image, so it must exist before the image begins to follow the store. */
  constructor(fixed: ServerConfig, image: MetadataImage, logger: Logger) {
    this.fixed = fixed;
    this.current = { ...fixed };
    this.image = image;
    image.onConfigured((scope, name) => {
      if (scope !== "broker" || (name !== "" && name !== String(fixed.nodeId))) return;
      Object.assign(this.current, withDynamic(fixed, this.dynamic));
      logger.info("what is set for the running broker", {
        broker: name === "" ? "all" : name,
        names: [...image.configs.broker(name).keys()].join(","),
      });
      this.onChanged?.();
    });
  }

  get dynamic(): DynamicTexts {
    const { configs } = this.image;
    return { clusterWide: configs.broker(""), own: configs.broker(String(this.fixed.nodeId)) };
  }

  layers(): BrokerLayers {
    return { ...this.dynamic, statics: staticBrokerTexts(this.fixed) };
  }
}
