/** What stands in and beside a log: the producer snapshot, the transaction index, and control records (all behind an int16 version). */
import { array, type DataOf, data, int16, int32, int64, uint32 } from "../schema.ts";

/** Kafka's .snapshot file; crc (CRC32C) covers what follows it. */
export const ProducerSnapshot = data({
  name: "ProducerSnapshot",
  declared: "1",
  flexible: "none",
  fields: {
    crc: uint32(),
    producerEntries: array({
      producerId: int64(),
      epoch: int16(),
      lastSequence: int32(),
      lastOffset: int64(),
      offsetDelta: int32(),
      timestamp: int64(),
      coordinatorEpoch: int32(),
      currentTxnFirstOffset: int64(),
    }),
  },
});
export type ProducerSnapshot = DataOf<typeof ProducerSnapshot>;

/** One entry of Kafka's .txnindex. */
export const AbortedTxn = data({
  name: "AbortedTxn",
  declared: "0",
  flexible: "none",
  fields: {
    producerId: int64(),
    firstOffset: int64(),
    lastOffset: int64(),
    lastStableOffset: int64(),
  },
});
export type AbortedTxn = DataOf<typeof AbortedTxn>;

/** The value of a control record that ends a transaction. */
export const EndTxnMarker = data({
  name: "EndTxnMarker",
  declared: "0",
  flexible: "none",
  fields: {
    coordinatorEpoch: int32(),
  },
});
export type EndTxnMarker = DataOf<typeof EndTxnMarker>;

/** The key of a control record: 0 abort, 1 commit (ControlRecordType). */
export const ControlRecordTypeSchema = data({
  name: "ControlRecordTypeSchema",
  declared: "0",
  flexible: "none",
  fields: {
    type: int16(),
  },
});
export type ControlRecordTypeSchema = DataOf<typeof ControlRecordTypeSchema>;
