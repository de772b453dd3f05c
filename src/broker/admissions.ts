/**
 * Who waits to write within a transaction: the coordinator is asked before the first records of a producer's transaction go to a
 * partition, and whatever the producer sends meanwhile has to wait behind them.
 */
export class Admissions<Partition> {
  private readonly waiting = new Map<Partition, Map<number, number>>();

  /** Whether something of the producer waits for this partition. */
  isWaiting(partition: Partition, producerId: number): boolean {
    return this.waiting.get(partition)?.has(producerId) === true;
  }

  /** Something waits from now on; pair with `leave`. */
  enter(partition: Partition, producerId: number): void {
    const producers = this.waiting.get(partition) ?? new Map<number, number>();
    this.waiting.set(partition, producers.set(producerId, (producers.get(producerId) ?? 0) + 1));
  }

  leave(partition: Partition, producerId: number): void {
    const producers = this.waiting.get(partition)!;
    const left = producers.get(producerId)! - 1;
    if (left > 0) producers.set(producerId, left);
    else producers.delete(producerId);
    if (producers.size === 0) this.waiting.delete(partition);
  }
}
