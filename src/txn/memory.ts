/**
 * What clients make the transactions of a broker hold, against one bound. Estimates: what matters is that nothing a client can add is
 * free (base/memory-bound.ts).
 */
import type { PartitionsByTopic, TransactionValue } from "./durable.ts";

const TRANSACTION_BYTES = 600;
const TOPIC_BYTES = 300;
const PARTITION_BYTES = 50;

export const transactionBytes = (transactionalId: string, { partitions }: TransactionValue): number =>
  TRANSACTION_BYTES + 2 * transactionalId.length + partitionBytes(partitions);

function partitionBytes(partitions: PartitionsByTopic): number {
  let bytes = 0;
  for (const [topic, indexes] of partitions) bytes += TOPIC_BYTES + 2 * topic.length + PARTITION_BYTES * indexes.size;
  return bytes;
}
