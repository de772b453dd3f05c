/**
 * What clients make the transactions of a broker hold, against one bound. Estimates: what matters is that nothing a client can add is
 * free. Shared by all shards, so to each it is an input, as the clock is.
 */
import type { PartitionsByTopic, TransactionValue } from "./durable.ts";

const TRANSACTION_BYTES = 600;
const TOPIC_BYTES = 300;
const PARTITION_BYTES = 50;

export class TransactionMemory {
  readonly limitBytes: number;
  heldBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Asked before something is added. What is in the log already is always taken, over the limit too. */
  hasRoomFor(bytes: number): boolean {
    return bytes <= 0 || this.heldBytes + bytes <= this.limitBytes;
  }
}

export const transactionBytes = (transactionalId: string, { partitions }: TransactionValue): number =>
  TRANSACTION_BYTES + 2 * transactionalId.length + partitionBytes(partitions);

function partitionBytes(partitions: PartitionsByTopic): number {
  let bytes = 0;
  for (const [topic, indexes] of partitions) bytes += TOPIC_BYTES + 2 * topic.length + PARTITION_BYTES * indexes.size;
  return bytes;
}
