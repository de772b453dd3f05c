/**
 * Producer ids of this broker: blocks of 1,000 taken through the metadata store, so that no id is ever given out twice, by
 * whichever broker, across any crash. What is left of a block is lost at a restart. Source: RPCProducerIdManager.
 */
import type { Logger } from "../base/logger.ts";
import { PRODUCER_ID_BLOCK_KEY } from "../metadata/keys.ts";
import type { MetadataStore } from "../metadata/store.ts";
import { decodeProducerIdBlock, encodeProducerIdBlock } from "../metadata/values.ts";
import { KafkaError } from "../protocol/errors.ts";

const BLOCK_IDS = 1000;
/** The next block is asked for when so many ids are left, so that callers rarely wait. */
const PREFETCH_IDS = 100;
/** Each lost race means that another broker got a block. */
const MAX_ATTEMPTS = 100;

export class ProducerIds {
  private readonly store: MetadataStore;
  private readonly logger: Logger;
  /** The ids [next, end) are ours. */
  private nextId = 0;
  private endId = 0;
  /** The block after this one, once it is ours. */
  private spare: number | null = null;
  private allocation: Promise<void> | null = null;

  constructor(store: MetadataStore, logger: Logger) {
    this.store = store;
    this.logger = logger;
  }

  /** A producer id that was never given out before. Rejects with COORDINATOR_LOAD_IN_PROGRESS (retriable) when there is none to be had now. */
  next(): number | Promise<number> {
    if (this.nextId === this.endId && this.spare !== null) this.begin(this.spare);
    if (this.nextId === this.endId) return this.afterAllocation();
    const id = this.nextId++;
    if (this.endId - this.nextId <= PREFETCH_IDS && this.spare === null) this.allocate().catch(() => {}); // the next caller tries again
    return id;
  }

  /**
   * No id below `first` is given out from now on: those may stand in logs that were brought here, and a log would take a new producer's
   * batches for repetitions of theirs. Resolves when that is durable.
   */
  async startAt(first: number): Promise<void> {
    await this.raise((next) => Math.max(next, first));
    if (this.spare !== null && this.spare < first) this.spare = null;
    if (this.nextId < first) this.nextId = this.endId;
  }

  private async afterAllocation(): Promise<number> {
    await this.allocate();
    return this.next();
  }

  private begin(first: number): void {
    this.nextId = first;
    this.endId = first + BLOCK_IDS;
    this.spare = null;
  }

  /** One at a time, however many wait for it. */
  private allocate(): Promise<void> {
    if (this.spare !== null) return Promise.resolve();
    this.allocation ??= this.takeBlock()
      .then((first) => {
        this.spare = first;
      })
      .catch((error: unknown) => {
        this.logger.warn("no block of producer ids could be allocated", { error: String(error) });
        throw new KafkaError("COORDINATOR_LOAD_IN_PROGRESS", "no producer id is available now");
      })
      .finally(() => {
        this.allocation = null;
      });
    return this.allocation;
  }

  /** The first id of a block that is durably ours. An outcome that is unknown costs a block at most. */
  private takeBlock(): Promise<number> {
    return this.raise((next) => next + BLOCK_IDS);
  }

  /** Moves what nobody has been given yet; returns where it began before. */
  private async raise(to: (next: number) => number): Promise<number> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { kvs } = await this.store.snapshot(PRODUCER_ID_BLOCK_KEY);
      const current = kvs.find((kv) => kv.key === PRODUCER_ID_BLOCK_KEY);
      const first = current === undefined ? 0 : decodeProducerIdBlock(current).nextProducerId;
      const nextProducerId = to(first);
      if (nextProducerId > Number.MAX_SAFE_INTEGER) throw new Error("all producer ids have been given out");
      if (nextProducerId === first) return first;
      const guard = { key: PRODUCER_ID_BLOCK_KEY, mod: current?.mod ?? 0n };
      const value = encodeProducerIdBlock({ nextProducerId });
      const result = await this.store.txn([guard], [{ put: PRODUCER_ID_BLOCK_KEY, value }]);
      if (result.kind === "applied") return first;
    }
    throw new Error(`the block was taken by others ${MAX_ATTEMPTS} times`);
  }
}
