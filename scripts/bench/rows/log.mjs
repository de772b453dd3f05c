// Rows of what a topic can have done to its log: another codec, compaction.

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { alterTopic } from "../admin.mjs";
import { fillKeyed } from "../keyed.mjs";
import { KB, throughput } from "./shared.mjs";

/** What a topic with a compression of its own costs: the producer sends text without compression. */
export function compressionRow(type, level, batchBytes) {
  const config = { "compression.type": type, ...(level !== null && { [`compression.${type}.level`]: String(level) }) };
  return {
    id: `compression-${type}${level === null ? "" : level}-${batchBytes}`,
    title: `${type}${level === null ? "" : `, level ${level}`}, batches of ${KB(batchBytes)}`,
    group: "compression",
    peers: ["quarkmq-page-cache", "kafka"],
    show: ["cpuMsPerMib", "mbPerS"],
    async run(x) {
      const topic = await x.topic(4, false, config);
      const shape = { recordBytes: 1024, batchBytes, producers: 4, text: true, maxBytes: x.volumeBytes };
      const { mbPerS, cpuSPerGib } = throughput(await x.load(topic, shape), "In");
      return { mbPerS, cpuMsPerMib: cpuSPerGib / 1.024 };
    },
  };
}

/** The defaults first; as it came, for comparison. */
export const COMPRESSIONS = [
  ["producer", null],
  ["gzip", -1],
  ["snappy", null],
  ["lz4", 9],
  ["zstd", 3],
];
export const MORE_COMPRESSIONS = [
  ["gzip", 1],
  ["gzip", 9],
  ["lz4", 1],
  ["lz4", 12],
  ["zstd", 1],
  ["zstd", 9],
  ["zstd", 19],
];

/** How fast a log is compacted, what that takes, and what clients notice of it: a slow, steady load goes on beside it. */
export const compactionRow = ({ keys, records, valueBytes, atMostS = 20 }) => ({
  id: `compaction-${keys}`,
  title: `${records.toLocaleString("en")} records of ${valueBytes} B, ${keys.toLocaleString("en")} keys; 1,000 records/s go on beside it`,
  group: "compaction",
  peers: ["quarkmq-durable", "quarkmq-page-cache", "kafka"],
  show: ["mbPerS", "recordsPerS", "ownMib", "p50Ms", "p99Ms"],
  async run(x) {
    const topic = await x.topic(1, false, { "segment.bytes": String(64 * 2 ** 20), "min.cleanable.dirty.ratio": "0.01" });
    await fillKeyed(x.peer.port, topic, { records, keys, valueBytes });
    const before = segmentBytes(x.peer, topic);
    const live = await x.topic(1);
    const shape = { recordBytes: 1024, producers: 1, consumers: 1, rate: 1000, durationMs: atMostS * 1000 };
    const beside = x.load(live, shape);
    await x.sleep(x.warmupMs + 500);
    const beganMs = performance.now();
    await alterTopic(x.peer.port, topic, { "cleanup.policy": "compact" });
    let ownMib = 0;
    for (; !isCompacted(x.peer, topic); await x.sleep(20)) {
      ownMib = Math.max(ownMib, x.peer.memory().ownMib);
      if (performance.now() - beganMs > atMostS * 1000) throw new Error("not compacted in time");
    }
    const seconds = (performance.now() - beganMs) / 1000;
    const { p50Ms, p99Ms } = (await beside).endToEnd;
    return { mbPerS: before / 1e6 / seconds, recordsPerS: records / seconds, ownMib, p50Ms, p99Ms };
  },
});

const directoryOf = (peer, topic) => join(peer.dataDir, `${topic}-0`);

const segmentBytes = (peer, topic) =>
  readdirSync(directoryOf(peer, topic))
    .filter((name) => name.endsWith(".log"))
    .reduce((bytes, name) => bytes + statSync(join(directoryOf(peer, topic), name)).size, 0);

/** By what each broker writes down of how far it is: all but the segment that is being written. */
function isCompacted(peer, topic) {
  const [file, done] = peer.isKafka
    ? [join(peer.dataDir, "cleaner-offset-checkpoint"), new RegExp(`^${topic} 0 (\\d+)`, "m")]
    : [join(directoryOf(peer, topic), "quarkmq-compaction"), /^firstDirtyOffset: (\d+)/m];
  if (!existsSync(file)) return false;
  const cleanTo = Number(done.exec(readFileSync(file, "utf8"))?.[1] ?? 0);
  const bases = readdirSync(directoryOf(peer, topic)).map((name) => Number(/^(\d{20})\.log$/.exec(name)?.[1] ?? -1));
  return cleanTo > 0 && cleanTo >= Math.max(...bases);
}
