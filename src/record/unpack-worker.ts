/** The thread that unpacks, checks and compresses large batches, so that the broker's loop does not. `unpack-thread.ts` asks it. */
import { type ErrorName, KafkaError } from "../protocol/errors.ts";
import type { Skimmed } from "./skim.ts";
import { type Unpacked, type UnpackJob, unpackBatch } from "./unpack-batch.ts";

/** As it goes between threads. */
export interface UnpackQuestion extends Omit<UnpackJob, "bytes"> {
  readonly bytes: Uint8Array<ArrayBuffer>;
}
export interface UnpackAnswer extends Omit<Unpacked, "skimmed" | "records"> {
  readonly skimmed: Skimmed | { readonly error: ErrorName; readonly message: string };
  readonly records: Uint8Array<ArrayBuffer> | null;
}

declare const self: {
  onmessage: ((event: { data: UnpackQuestion }) => void) | null;
  postMessage(answer: UnpackAnswer, given: ArrayBuffer[]): void;
};

self.onmessage = ({ data }) => {
  const job = { ...data, bytes: Buffer.from(data.bytes.buffer, data.bytes.byteOffset, data.bytes.length) };
  const unpacked = unpackBatch(job);
  const { skimmed } = unpacked;
  const records = unpacked.records as Uint8Array<ArrayBuffer> | null;
  const answer = {
    ...unpacked,
    skimmed: skimmed instanceof KafkaError ? { error: skimmed.error, message: skimmed.message } : skimmed,
    records,
  };
  self.postMessage(answer, records === null ? [] : [records.buffer]);
};
