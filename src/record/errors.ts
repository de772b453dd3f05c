/** The errors that record bytes can cause. */
import { KafkaError } from "../protocol/errors.ts";

/** Record bytes that are no records: Kafka's InvalidRecordException. Not retriable. */
export const invalidRecord = (detail: string): KafkaError => new KafkaError("INVALID_RECORD", detail);

/** Compressed bytes that no decompressor takes. */
export const badCompression = (detail: string): KafkaError => invalidRecord(`Failed to decompress record stream: ${detail}`);

/** Records that decompress to more than the bound. */
export const decompressedTooLarge = (maxBytes: number): KafkaError =>
  new KafkaError("MESSAGE_TOO_LARGE", `The records of the batch decompress to more than ${maxBytes} bytes`);

/** Compressed bytes that refer back further than is kept. Java producers split such a batch and try again, which helps. */
export const looksBackTooFar = (codec: string, maxBytes: number): KafkaError =>
  new KafkaError("MESSAGE_TOO_LARGE", `${codec}: the records of the batch refer back by more than ${maxBytes} bytes`);
