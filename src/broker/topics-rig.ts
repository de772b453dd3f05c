import { silentLogger } from "../base/logger.ts";
import { defaultServerConfig, type ServerConfig } from "../config/server-options.ts";
import { realRandom } from "../io/random.ts";
import { MetadataImage } from "../metadata/image.ts";
import { MemoryStore } from "../metadata/memory-store.ts";
import { encodeBroker } from "../metadata/values.ts";
import { type CreateResult, Topics } from "./topics.ts";
import type { NewTopic } from "./topics-plan.ts";

export interface Made {
  store: MemoryStore;
  image: MetadataImage;
  topics: Topics;
  config: ServerConfig;
}

/** A broker's topics on a store in memory. `brokers`: the registered node ids. */
export async function make(
  changes: Partial<ServerConfig> = {},
  brokers: number[] = [1],
  store = new MemoryStore(),
): Promise<Made> {
  const image = new MetadataImage((error) => {
    throw error;
  });
  const config = defaultServerConfig(changes);
  const topics = new Topics({ config, store, image, random: realRandom, logger: silentLogger });
  const value = encodeBroker({ incarnation: 1, host: "h", port: 1, rack: null });
  await store.txn(
    [],
    brokers.map((id) => ({ put: `brokers/${id}`, value })),
  );
  await image.follow(store);
  return { store, image, topics, config };
}

export const topic = (name: string, more: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...more,
});

export const create = (topics: Topics, ...wanted: NewTopic[]) => topics.create(wanted, { validateOnly: false });
export const shown = (results: readonly CreateResult[]) =>
  results.map(({ name, error }) => (error === null ? `${name} ok` : `${name} ${error.error}: ${error.message}`));
export const one = async (topics: Topics, wanted: NewTopic): Promise<string> => shown(await create(topics, wanted))[0]!;
export const names = (image: MetadataImage) => [...image.topics()].map(({ name }) => name).sort();
