/**
 * What a partition knows about its producers: the last five batches of each, so that a repeated one is recognised and a missing one
 * refused, and which transactions are open. Source: ProducerStateManager, ProducerAppendInfo, ProducerStateEntry (KIP-98).
 */
import { KafkaError } from "../protocol/errors.ts";
import { NO_PRODUCER_EPOCH, NO_SEQUENCE } from "../record/batch.ts";

/** ProducerStateEntry.NUM_BATCHES_TO_RETAIN. */
export const WINDOW_BATCHES = 5;

const MAX_SEQUENCE = 0x7fff_ffff;

/** What is remembered of one batch. */
export interface BatchMetadata {
  lastSequence: number;
  lastOffset: number;
  /** lastOffset - baseOffset, and so for the sequences. */
  offsetDelta: number;
  /** The batch's maximum timestamp. */
  timestampMs: number;
}

export interface ProducerEntry {
  readonly producerId: number;
  epoch: number;
  coordinatorEpoch: number;
  lastTimestampMs: number;
  /** First offset of the open transaction, -1 if none is open. */
  currentTxnFirstOffset: number;
  /** At most five, the oldest first. */
  readonly batches: BatchMetadata[];
}

/** What producer state needs to know of a batch; `record/validate` gives it, and headers read back from a log. */
export interface ProducerBatch {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly lastSequence: number;
  readonly isTransactional: boolean;
}

/** An end-of-transaction marker, as its control batch says it. */
export interface TransactionMarker {
  readonly type: "abort" | "commit";
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch: number;
  readonly timestampMs: number;
}

/** A transaction that a marker ended: with records, or it would not have been open here. */
export interface CompletedTransaction {
  readonly producerId: number;
  readonly type: "abort" | "commit";
  readonly firstOffset: number;
  readonly markerOffset: number;
  /** Where the next transaction that is open begins, else the offset behind the marker. */
  readonly lastStableOffset: number;
}

/** KIP-890: from this version of transactions on every end has an epoch of its own. */
const EPOCH_BUMP_SINCE = 2;
const MAX_EPOCH = 0x7fff;

/** DefaultRecordBatch.decrementSequence: sequences wrap from 0 to 2^31 - 1. */
const decrementSequence = (sequence: number, by: number): number =>
  sequence < by ? MAX_SEQUENCE - (by - sequence) + 1 : sequence - by;

export const firstSequenceOf = (batch: BatchMetadata): number => decrementSequence(batch.lastSequence, batch.offsetDelta);

export class ProducerState {
  private readonly byId = new Map<number, ProducerEntry>();
  /** First offset of each open transaction, in ascending order, and its producer. */
  private open = new Map<number, number>();
  /** Ended by a marker that may not be durable yet, by ascending marker offset. */
  private completed: CompletedTransaction[] = [];
  private expirationMs: number;
  private maxProducers: number;

  constructor(limits: { producerIdExpirationMs: number; maxProducers: number }) {
    this.expirationMs = limits.producerIdExpirationMs;
    this.maxProducers = limits.maxProducers;
  }

  updateLimits(limits: { producerIdExpirationMs: number; maxProducers: number }): void {
    this.expirationMs = limits.producerIdExpirationMs;
    this.maxProducers = limits.maxProducers;
  }

  get size(): number {
    return this.byId.size;
  }

  /** In no particular order; read only. */
  entries(): IterableIterator<ProducerEntry> {
    return this.byId.values();
  }

  entry(producerId: number): ProducerEntry | undefined {
    return this.byId.get(producerId);
  }

  /**
   * Checks a data batch that a client sends, before it is written. Returns the remembered batch that it repeats, or null when it is
   * next in line. Throws KafkaError INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER or INVALID_TXN_STATE. Batches without a
   * sequence (a coordinator's) are checked for their epoch only.
   */
  check(batch: ProducerBatch): BatchMetadata | null {
    const known = this.byId.get(batch.producerId);
    if (known === undefined) return null;
    const hasSequence = batch.baseSequence !== NO_SEQUENCE;
    if (hasSequence) {
      const repeated = findRepeated(known, batch);
      if (repeated !== null) return repeated;
    }
    checkEpoch(known, batch.producerEpoch);
    if (hasSequence) checkSequence(known, batch);
    if (known.currentTxnFirstOffset >= 0 && !batch.isTransactional)
      throw new KafkaError("INVALID_TXN_STATE", `Expected transactional write from producer ${batch.producerId}`);
    return null;
  }

  /** Takes in a data batch that is in the log now. */
  apply(batch: ProducerBatch, baseOffset: number, lastOffset: number, timestampMs: number): void {
    const entry = this.entryFor(batch.producerId);
    setEpoch(entry, batch.producerEpoch);
    const recycled = entry.batches.length === WINDOW_BATCHES ? entry.batches.shift()! : null;
    const metadata = recycled ?? { lastSequence: 0, lastOffset: 0, offsetDelta: 0, timestampMs: 0 };
    metadata.lastSequence = batch.lastSequence;
    metadata.lastOffset = lastOffset;
    metadata.offsetDelta = lastOffset - baseOffset;
    metadata.timestampMs = timestampMs;
    entry.batches.push(metadata);
    entry.lastTimestampMs = timestampMs;
    if (batch.isTransactional && entry.currentTxnFirstOffset < 0) {
      entry.currentTxnFirstOffset = baseOffset;
      this.open.set(baseOffset, batch.producerId);
    }
  }

  /**
   * Checks a marker before it is written. Throws KafkaError INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED. Under version 2
   * of transactions its epoch must be a new one, but for a marker that is written again (KAFKA-19999).
   */
  checkMarker(marker: TransactionMarker, transactionVersion: number): void {
    const known = this.byId.get(marker.producerId);
    if (known === undefined) return;
    const { epoch, currentTxnFirstOffset, coordinatorEpoch } = known;
    const bumps = transactionVersion >= EPOCH_BUMP_SINCE;
    const isAgain = marker.producerEpoch === epoch && (currentTxnFirstOffset < 0 || epoch === MAX_EPOCH);
    if (marker.producerEpoch < epoch || (bumps && marker.producerEpoch === epoch && !isAgain))
      throw new KafkaError(
        "INVALID_PRODUCER_EPOCH",
        `Epoch of producer ${marker.producerId} is ${marker.producerEpoch}, which is ${bumps ? "<=" : "<"} the last seen epoch ${epoch} (TV${transactionVersion})`,
      );
    if (coordinatorEpoch > marker.coordinatorEpoch)
      throw new KafkaError(
        "TRANSACTION_COORDINATOR_FENCED",
        `Invalid coordinator epoch for producerId ${marker.producerId}: ${marker.coordinatorEpoch} (zombie), ${coordinatorEpoch} (current)`,
      );
  }

  /** Whether a transaction of the producer is open here, with this epoch. */
  hasOpenTransaction(producerId: number, epoch: number): boolean {
    const known = this.byId.get(producerId);
    return known !== undefined && known.currentTxnFirstOffset >= 0 && known.epoch === epoch;
  }

  /** Takes in a transaction marker that is in the log now, at `offset`. Returns the transaction that it ended, null if there was none. */
  applyMarker(marker: TransactionMarker, offset: number): CompletedTransaction | null {
    const entry = this.entryFor(marker.producerId);
    setEpoch(entry, marker.producerEpoch);
    entry.coordinatorEpoch = marker.coordinatorEpoch;
    entry.lastTimestampMs = marker.timestampMs;
    const firstOffset = entry.currentTxnFirstOffset;
    if (firstOffset < 0) return null;
    this.open.delete(firstOffset);
    entry.currentTxnFirstOffset = -1;
    const { producerId, type } = marker;
    const lastStableOffset = this.firstOpenOffset ?? offset + 1;
    const completed = { producerId, type, firstOffset, markerOffset: offset, lastStableOffset };
    this.completed.push(completed);
    return completed;
  }

  private get firstOpenOffset(): number | null {
    for (const offset of this.open.keys()) return offset;
    return null;
  }

  /** The first offset of the earliest transaction that is open, or whose marker readers may not see yet; null when there is none. */
  get firstUnstableOffset(): number | null {
    let first = this.firstOpenOffset;
    for (const { firstOffset } of this.completed) if (first === null || firstOffset < first) first = firstOffset;
    return first;
  }

  /** Tells that readers see everything below `highWatermark`: markers below it are settled. */
  onHighWatermark(highWatermark: number): void {
    if (this.completed.length === 0) return;
    this.completed = this.completed.filter(({ markerOffset }) => markerOffset >= highWatermark);
  }

  /** Forgets producers without an open transaction that wrote nothing for the expiration time (by their batches' timestamps, as in Kafka). */
  removeExpired(nowMs: number): void {
    for (const entry of this.byId.values()) if (this.isExpired(entry, nowMs)) this.byId.delete(entry.producerId);
  }

  isExpired(entry: ProducerEntry, nowMs: number): boolean {
    return entry.currentTxnFirstOffset < 0 && nowMs - entry.lastTimestampMs >= this.expirationMs;
  }

  clear(): void {
    this.byId.clear();
    this.open.clear();
    this.completed = [];
  }

  /** Starts from the entries of a snapshot, which become this object's. */
  load(entries: Iterable<ProducerEntry>): void {
    this.clear();
    const open: [number, number][] = [];
    for (const entry of entries) {
      this.byId.set(entry.producerId, entry);
      if (entry.currentTxnFirstOffset >= 0) open.push([entry.currentTxnFirstOffset, entry.producerId]);
    }
    this.open = new Map(open.sort(([a], [b]) => a - b));
  }

  private entryFor(producerId: number): ProducerEntry {
    const known = this.byId.get(producerId);
    if (known !== undefined) return known;
    if (this.byId.size >= this.maxProducers) this.evict();
    const entry: ProducerEntry = {
      producerId,
      epoch: NO_PRODUCER_EPOCH,
      coordinatorEpoch: -1,
      lastTimestampMs: -1,
      currentTxnFirstOffset: -1,
      batches: [],
    };
    this.byId.set(producerId, entry);
    return entry;
  }

  /** Forgets the eighth of the producers that wrote the longest ago; a forgotten one may go on with any sequence, as an expired one. */
  private evict(): void {
    const idle = [...this.byId.values()].filter((entry) => entry.currentTxnFirstOffset < 0);
    idle.sort((a, b) => lastDataOffset(a) - lastDataOffset(b));
    for (const entry of idle.slice(0, Math.max(1, this.maxProducers >> 3))) this.byId.delete(entry.producerId);
  }
}

/** Last offset of the producer's last batch, -1 if there is none. */
export const lastDataOffset = (entry: ProducerEntry): number => entry.batches.at(-1)?.lastOffset ?? -1;

function setEpoch(entry: ProducerEntry, epoch: number): void {
  if (entry.epoch === epoch) return;
  entry.batches.length = 0;
  entry.epoch = epoch;
}

/** The remembered batch with exactly these sequences and this epoch. */
function findRepeated(known: ProducerEntry, batch: ProducerBatch): BatchMetadata | null {
  if (known.epoch !== batch.producerEpoch) return null;
  for (const metadata of known.batches)
    if (metadata.lastSequence === batch.lastSequence && firstSequenceOf(metadata) === batch.baseSequence) return metadata;
  return null;
}

function checkEpoch(known: ProducerEntry, epoch: number): void {
  if (epoch >= known.epoch) return;
  throw new KafkaError(
    "INVALID_PRODUCER_EPOCH",
    `Epoch of producer ${known.producerId} is ${epoch}, which is smaller than the last seen epoch ${known.epoch}`,
  );
}

function checkSequence(known: ProducerEntry, batch: ProducerBatch): void {
  const first = batch.baseSequence;
  if (batch.producerEpoch !== known.epoch) {
    if (first === 0 || known.epoch === NO_PRODUCER_EPOCH) return;
    throw outOfOrder(
      `Invalid sequence number for new epoch of producer ${known.producerId}: ${batch.producerEpoch} (request epoch), ${first} (seq. number), ${known.epoch} (current producer epoch)`,
    );
  }
  const last = known.batches.at(-1)?.lastSequence ?? NO_SEQUENCE;
  if (first === last + 1 || (first === 0 && last === MAX_SEQUENCE)) return;
  throw outOfOrder(
    `Out of order sequence number for producer ${known.producerId}: ${first} (incoming seq. number), ${last} (current end sequence number)`,
  );
}

const outOfOrder = (detail: string): KafkaError => new KafkaError("OUT_OF_ORDER_SEQUENCE_NUMBER", detail);
