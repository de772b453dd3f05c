/**
 * What the subscribed topics of a group look like, as one number: if it changes, there is something to assign anew (KIP-1101).
 * The same numbers as Kafka's, so that a group that came from there does not rebalance. Source: group.Utils, hash4j's HashStream64.
 */
import type { SeenTopic, TopicsView } from "./topics-view.ts";

/** Of a group without topics. */
export const NO_HASH = 0n;
const MAGIC = 0;

/** A topic's own hash; signed, 64 bits. */
export function topicHash(topic: SeenTopic, view: TopicsView): bigint {
  const stream = new HashStream(64 + 2 * topic.name.length + 8 * topic.partitionCount);
  stream.byte(MAGIC);
  const id = Buffer.from(topic.id, "base64url");
  stream.int64(id.readBigInt64BE(0));
  stream.int64(id.readBigInt64BE(8));
  stream.text(topic.name);
  stream.int32(topic.partitionCount);
  for (let partition = 0; partition < topic.partitionCount; partition++) {
    stream.int32(partition);
    for (const rack of [...view.racksOf(topic, partition)].sort()) {
      stream.int32(rack.length);
      stream.text(rack);
    }
  }
  return stream.hash();
}

/** Of the topics with these names that exist; `hashOf` may remember what it gave. */
export function groupHash(names: Iterable<string>, hashOf: (name: string) => bigint | undefined): bigint {
  const hashes = [...names].sort().flatMap((name) => hashOf(name) ?? []);
  if (hashes.length === 0) return NO_HASH;
  const stream = new HashStream(8 * hashes.length);
  for (const hash of hashes) stream.int64(hash);
  return stream.hash();
}

/** Gathers little-endian bytes, hashed at the end with XXH3. Texts are UTF-16 with their length behind them. */
class HashStream {
  private bytes: Buffer;
  private at = 0;

  constructor(expectedBytes: number) {
    this.bytes = Buffer.allocUnsafe(expectedBytes);
  }

  byte(value: number): void {
    this.at = this.room(1).writeUInt8(value, this.at);
  }

  int32(value: number): void {
    this.at = this.room(4).writeInt32LE(value, this.at);
  }

  int64(value: bigint): void {
    this.at = this.room(8).writeBigInt64LE(value, this.at);
  }

  text(value: string): void {
    this.at += this.room(2 * value.length).write(value, this.at, "utf16le");
    this.int32(value.length);
  }

  hash(): bigint {
    return BigInt.asIntN(64, Bun.hash.xxHash3(this.bytes.subarray(0, this.at)));
  }

  private room(more: number): Buffer {
    if (this.at + more > this.bytes.length) {
      const larger = Buffer.allocUnsafe(2 * (this.at + more));
      this.bytes.copy(larger, 0, 0, this.at);
      this.bytes = larger;
    }
    return this.bytes;
  }
}
