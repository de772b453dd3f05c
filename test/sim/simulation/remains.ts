/** What a broker still holds when nobody wants anything of it any more, in memory and in its data directory. */
import type { BrokerWorld } from "../broker-world.ts";
import type { FakeDisk } from "../fake-disk.ts";
import { COMPACTED } from "./compacted.ts";
import type { TopicModel } from "./topics-model.ts";

/** What is private is looked at all the same: a leak shows nowhere else. */
interface Held {
  readonly waiters: readonly unknown[];
  readonly watchers: { readonly size: number };
}

/** Sessions, waiters and watchers that nobody needs. */
export function kept({ broker }: BrokerWorld, topics: readonly TopicModel[]): string[] {
  const found: string[] = [];
  if (broker.fetchSessions.size > 0) found.push(`${broker.fetchSessions.size} fetch sessions`);
  for (const { name, partitions } of topics) {
    for (const { topicId, index } of partitions) {
      const { waiters, watchers } = broker.partitionById(topicId, index) as unknown as Held;
      if (waiters.length > 0) found.push(`${waiters.length} waiters of ${name}-${index}`);
      if (watchers.size > 0) found.push(`${watchers.size} watchers of ${name}-${index}`);
    }
  }
  return found;
}

const OWN_FILES = /^(\.lock|quarkmq-[a-z-]+(\.tmp)?|metadata\.snapshot)$/;
const LOG_FILES =
  /^(\d{20}\.(log|index|timeindex|txnindex|snapshot|producer-windows|log\.\d+\.cut-\d+)|leader-epoch-checkpoint(\.tmp)?|quarkmq-compaction(\.tmp)?|partition\.metadata)$/;

/** Names in the data directory that belong to nothing. */
export function leftOver(disk: FakeDisk, dataDir: string, topics: readonly TopicModel[]): string[] {
  const wanted = new Set([`${COMPACTED}-0`, ...topics.flatMap(({ partitions }) => partitions.map(({ name }) => name))]);
  const found: string[] = [];
  for (const { name, isDirectory } of disk.list(dataDir) ?? []) {
    const isOurs = isDirectory
      ? wanted.has(name) || /^__(cluster_metadata|consumer_offsets|transaction_state)-\d+$/.test(name)
      : OWN_FILES.test(name);
    if (!isOurs) found.push(name);
    if (!isDirectory) continue;
    for (const file of disk.list(`${dataDir}/${name}`) ?? []) if (!LOG_FILES.test(file.name)) found.push(`${name}/${file.name}`);
  }
  return found;
}
