// The rows of the benchmark: what is asked of every peer, in groups that can be run alone. A row's `run` gets what it needs in a
// context (context.mjs) and returns its metrics as numbers (rows/shared.mjs says what they are).

import { groupsRow, librdkafkaRow, toolRow, transactionRow } from "./rows/clients.mjs";
import { curveRow, logSizeRow, topicsRow } from "./rows/curves.mjs";
import { idleRow, loadedRow, recoveryRow, scaleRow, startRow } from "./rows/life.mjs";
import { COMPRESSIONS, compactionRow, compressionRow, MORE_COMPRESSIONS } from "./rows/log.mjs";
import { consumeRow, latencyRow, limitRow, mixedRow, produceRow } from "./rows/traffic.mjs";

const product = (shape) =>
  Object.entries(shape).reduce(
    (all, [name, values]) => all.flatMap((one) => values.map((value) => ({ ...one, [name]: value }))),
    [{}],
  );

/** Every row; `isQuick`: the corners only. */
export function allRows(isQuick) {
  const produce = isQuick
    ? [
        { recordBytes: 1024, connections: 1, partitions: 1, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 1, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 100, acks: -1 },
        { recordBytes: 1024, connections: 16, partitions: 1000, acks: -1 },
        { recordBytes: 100, connections: 1, partitions: 1, acks: -1 },
        { recordBytes: 100, connections: 16, partitions: 1000, acks: -1 },
      ]
    : product({ recordBytes: [100, 1024], connections: [1, 16], partitions: [1, 100, 1000], acks: [1, -1] });
  produce.push({ recordBytes: 100, connections: 16, partitions: 1000, acks: -1, perRequest: 50, batchBytes: 1024 });
  const consume = isQuick
    ? [
        { recordBytes: 1024, connections: 1, partitions: 1 },
        { recordBytes: 1024, connections: 16, partitions: 100 },
        { recordBytes: 1024, connections: 16, partitions: 1000 },
        { recordBytes: 100, connections: 16, partitions: 1 },
      ]
    : product({ recordBytes: [100, 1024], connections: [1, 16], partitions: [1, 100, 1000] });
  const ifFull = (...rows) => (isQuick ? [] : rows);
  return [
    idleRow,
    ...produce.map(produceRow),
    ...consume.map(consumeRow),
    mixedRow({ recordBytes: 1024, connections: 8, partitions: 100 }),
    ...ifFull(mixedRow({ recordBytes: 100, connections: 8, partitions: 100 })),
    ...product({ rate: [1000, 10_000], partitions: isQuick ? [1] : [1, 100] }).map(latencyRow),
    toolRow("produce", 1024),
    toolRow("consume", 1024),
    ...ifFull(toolRow("produce", 100), toolRow("consume", 100)),
    librdkafkaRow("produce", 1024, 1, 1),
    librdkafkaRow("consume", 1024, 1, 1),
    ...ifFull(...[100, 1024].flatMap((bytes) => ["produce", "consume"].map((d) => librdkafkaRow(d, bytes, 16, 100)))),
    ...ifFull(...["produce", "consume"].map((d) => librdkafkaRow(d, 100, 1, 1))),
    ...[1, 10, 100].map(transactionRow),
    ...[1024, 16384, 262144].map((bytes) => limitRow("produce", 1024, bytes, 16)),
    limitRow("produce", 100, 16384, 16),
    ...ifFull(limitRow("produce", 1024, 16384, 1)),
    limitRow("consume", 1024, 16384, 1),
    limitRow("consume", 1024, 16384, 16),
    limitRow("consume", 100, 16384, 16),
    limitRow("consume", 1024, 16384, 16, 100),
    ...[16384, 262144].flatMap((bytes) => COMPRESSIONS.map(([type, level]) => compressionRow(type, level, bytes))),
    ...ifFull(...MORE_COMPRESSIONS.map(([type, level]) => compressionRow(type, level, 262144))),
    ...[1, 10, 100, 1000].map((n) => curveRow("partitions", n)),
    ...[0, 1000, 9900].map((n) => curveRow("idle", n)),
    ...[1, 10, 100, 1000].map((n) => curveRow("active", n)),
    ...[1, 1000].map(topicsRow),
    ...(isQuick ? [64, 1024] : [64, 1024, 4096]).map(logSizeRow),
    compactionRow({ keys: 50_000, records: 500_000, valueBytes: 900 }),
    ...ifFull(compactionRow({ keys: 2_000_000, records: 4_000_000, valueBytes: 50, atMostS: 90 })),
    groupsRow({ groups: 1, members: 1000 }),
    groupsRow({ groups: 5000, members: 1, connections: 250 }),
    startRow,
    recoveryRow,
    loadedRow,
    scaleRow(isQuick ? 1000 : 10_000), // it leaves them behind: the last row
  ];
}

export const groups = [
  "produce",
  "consume",
  "mixed",
  "latency",
  "memory",
  "start",
  "recovery",
  "scale",
  "limit",
  "compression",
  "compaction",
  "tools",
  "librdkafka",
  "transactions",
  "curves",
  "groups",
];
