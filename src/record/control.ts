/**
 * Control batches: the markers that end a transaction in a partition.
 * Source: org.apache.kafka.common.record.internal.{ControlRecordType, EndTransactionMarker}.
 */
import { buildBatch } from "./build.ts";
import { invalidRecord } from "./errors.ts";

/** `version int16, type int16` in a control record's key. Types that we do not know must be skipped by readers. */
export const ControlType = { abort: 0, commit: 1 } as const;

/** The type in a control record's key. Throws INVALID_RECORD if the key is too short or of a version below 0. */
export function controlType(key: Buffer | null): number {
  if (key === null || key.length < 4) throw invalidRecord("Control record key is too short");
  if (key.readInt16BE(0) < 0) throw invalidRecord(`Invalid version found for control record: ${key.readInt16BE(0)}`);
  return key.readInt16BE(2);
}

/** The coordinator's epoch in a transaction marker's value. Throws INVALID_RECORD if the value is too short. */
export function coordinatorEpoch(value: Buffer | null): number {
  if (value === null || value.length < 6) throw invalidRecord("Transaction marker value is too short");
  return value.readInt32BE(2);
}

/** A batch of one marker; base offset 0 and leader epoch -1, which the log assigns. */
export function buildTransactionMarker(marker: {
  type: keyof typeof ControlType;
  producerId: number;
  producerEpoch: number;
  coordinatorEpoch: number;
  timestampMs: number;
}): Buffer {
  const key = Buffer.alloc(4);
  key.writeInt16BE(ControlType[marker.type], 2);
  const value = Buffer.alloc(6);
  value.writeInt32BE(marker.coordinatorEpoch, 2);
  return buildBatch({
    records: [{ key, value, timestampMs: marker.timestampMs }],
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    isControl: true,
    isTransactional: true,
  });
}
