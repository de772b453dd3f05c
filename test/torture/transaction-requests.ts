/**
 * What a transactional producer asks, by hand, in both generations of the protocol. The older one names each partition before it
 * writes to it; in the newer (KIP-890) writing is enough, and each end of a transaction gives the epoch of the next one.
 */

import { int16, int32, int64, request, string } from "../support/wire.ts";
import type { Producer } from "./batches.ts";
import type { Client } from "./client.ts";

/** A request that can be sent again, and how its answer is read. Flexible ones (KIP-482) have tags everywhere. */
export interface Exchange<T> {
  readonly api: number;
  readonly version: number;
  readonly isFlexible: boolean;
  readonly body: Buffer;
  read(answer: Answer): T;
}

export async function exchange<T>(client: Client, { api, version, isFlexible, body, read }: Exchange<T>): Promise<T> {
  const frame = request(api, version, client.nextId(), isFlexible ? Buffer.concat([noTags, body]) : body);
  const answer = await client.ask(frame);
  return read(new Answer(answer, isFlexible ? 5 : 4));
}

export interface Coded {
  code: number;
}

export interface NewEpoch extends Coded {
  producer: Producer;
}

/** By partition. */
export type Written = Map<number, { code: number; baseOffset: number }>;

/** Who asks. */
export interface Identity {
  transactionalId: string;
  producer: Producer;
}

export interface Protocol {
  readonly name: "older" | "newer";
  /** Whether sequences begin anew, and the epoch is another, with each transaction. */
  readonly bumpsEpoch: boolean;
  /** What must be asked before these partitions are written to; null for nothing. */
  addPartitions(who: Identity, topic: string, partitions: number[]): Exchange<Coded> | null;
  produce(who: Identity, topic: string, batches: Map<number, Buffer>): Exchange<Written>;
  /** What must be asked before offsets of this group are a part; null for nothing. */
  addGroup(who: Identity, group: string): Exchange<Coded> | null;
  /** For partition 0 of the topic. */
  commitOffset(who: Identity, group: string, topic: string, offset: number): Exchange<Coded>;
  /** `producer` is who begins the next transaction. */
  end(who: Identity, commits: boolean): Exchange<NewEpoch>;
}

/** FindCoordinator 1. The broker makes its topic for them when it is asked for the first time. */
export function findCoordinator(kind: "group" | "transaction", key: string): Exchange<Coded> {
  const body = Buffer.concat([string(key), Buffer.from([kind === "group" ? 0 : 1])]);
  return rigid(10, 1, body, (answer) => ({ code: answer.skip(4).int16() }));
}

/** InitProducerId 1: ends what an older instance has left open. */
export function newInstance(transactionalId: string, timeoutMs: number): Exchange<NewEpoch> {
  const body = Buffer.concat([string(transactionalId), int32(timeoutMs)]);
  return rigid(22, 1, body, (answer) => ({ code: answer.skip(4).int16(), producer: readProducer(answer) }));
}

/** OffsetFetch 5: what a group has committed for partition 0 of a topic, -1 for nothing. */
export function committedOffset(group: string, topic: string): Exchange<number> {
  const body = Buffer.concat([string(group), int32(1), string(topic), int32(1), int32(0)]);
  return rigid(9, 5, body, (answer) => {
    answer.skip(4 + 4).string();
    return answer.skip(4 + 4).int64();
  });
}

export const older: Protocol = {
  name: "older",
  bumpsEpoch: false,
  addPartitions(who, topic, partitions) {
    const body = [identity(who), int32(1), string(topic), int32(partitions.length), ...partitions.map(int32)];
    return rigid(24, 2, Buffer.concat(body), (answer) => {
      answer.skip(4 + 4).string();
      const codes = Array.from({ length: answer.int32() }, () => answer.skip(4).int16());
      return { code: codes.find((code) => code !== 0) ?? 0 };
    });
  },
  produce({ transactionalId }, topic, batches) {
    const body = [string(transactionalId), int16(-1), int32(30_000), int32(1), string(topic), int32(batches.size)];
    for (const [partition, batch] of batches) body.push(int32(partition), int32(batch.length), batch);
    return rigid(0, 3, Buffer.concat(body), (answer) => {
      answer.skip(4).string();
      const written: Written = new Map();
      for (let left = answer.int32(); left > 0; left--) {
        written.set(answer.int32(), { code: answer.int16(), baseOffset: answer.int64() });
        answer.skip(8); // time
      }
      return written;
    });
  },
  addGroup: (who, group) =>
    rigid(25, 2, Buffer.concat([identity(who), string(group)]), (answer) => ({ code: answer.skip(4).int16() })),
  commitOffset({ transactionalId, producer }, group, topic, offset) {
    const who = [string(transactionalId), string(group), int64(producer.id), int16(producer.epoch)];
    const what = [int32(1), string(topic), int32(1), int32(0), int64(offset), int32(-1), int16(-1)];
    return rigid(28, 2, Buffer.concat([...who, ...what]), (answer) => {
      answer.skip(4 + 4).string();
      return { code: answer.skip(4 + 4).int16() };
    });
  },
  end: (who, commits) =>
    rigid(26, 2, Buffer.concat([identity(who), Buffer.from([commits ? 1 : 0])]), (answer) => {
      return { code: answer.skip(4).int16(), producer: who.producer };
    }),
};

export const newer: Protocol = {
  name: "newer",
  bumpsEpoch: true,
  addPartitions: () => null,
  produce({ transactionalId }, topic, batches) {
    const body = [compactString(transactionalId), int16(-1), int32(30_000), uvarint(2), compactString(topic)];
    body.push(uvarint(batches.size + 1));
    for (const [partition, batch] of batches) body.push(int32(partition), uvarint(batch.length + 1), batch, noTags);
    return flexible(0, 12, Buffer.concat([...body, noTags, noTags]), (answer) => {
      answer.uvarint();
      answer.compactString();
      const written: Written = new Map();
      for (let left = answer.uvarint() - 1; left > 0; left--) {
        written.set(answer.int32(), { code: answer.int16(), baseOffset: answer.int64() });
        answer.skip(8 + 8); // time, log start
        for (let errors = answer.uvarint() - 1; errors > 0; errors--) {
          answer.skip(4).compactString();
          answer.tags();
        }
        answer.compactString();
        answer.tags();
      }
      return written;
    });
  },
  addGroup: () => null,
  commitOffset({ transactionalId, producer }, group, topic, offset) {
    const who = [compactString(transactionalId), compactString(group), int64(producer.id), int16(producer.epoch)];
    const member = [int32(-1), compactString(""), uvarint(0)]; // no generation, no member, no instance
    const partition = [uvarint(2), int32(0), int64(offset), int32(-1), uvarint(0), noTags];
    const body = Buffer.concat([...who, ...member, uvarint(2), compactString(topic), ...partition, noTags, noTags]);
    return flexible(28, 5, body, (answer) => {
      answer.skip(4).uvarint();
      answer.compactString();
      answer.uvarint();
      return { code: answer.skip(4).int16() };
    });
  },
  end({ transactionalId, producer }, commits) {
    const who = [compactString(transactionalId), int64(producer.id), int16(producer.epoch)];
    return flexible(26, 5, Buffer.concat([...who, Buffer.from([commits ? 1 : 0]), noTags]), (answer) => {
      return { code: answer.skip(4).int16(), producer: readProducer(answer) };
    });
  },
};

const noTags = Buffer.from([0]);

const identity = ({ transactionalId, producer }: Identity): Buffer =>
  Buffer.concat([string(transactionalId), int64(producer.id), int16(producer.epoch)]);

const readProducer = (answer: Answer): Producer => ({ id: answer.int64(), epoch: answer.int16() });

function rigid<T>(api: number, version: number, body: Buffer, read: (answer: Answer) => T): Exchange<T> {
  return { api, version, isFlexible: false, body, read };
}

function flexible<T>(api: number, version: number, body: Buffer, read: (answer: Answer) => T): Exchange<T> {
  return { api, version, isFlexible: true, body, read };
}

/** An unsigned varint, up to 2^31. */
function uvarint(n: number): Buffer {
  const bytes: number[] = [];
  let left = n;
  for (; left > 0x7f; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}

const compactString = (s: string): Buffer => Buffer.concat([uvarint(Buffer.byteLength(s) + 1), Buffer.from(s)]);

/** An answer, field by field. */
class Answer {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  skip(bytes: number): this {
    this.#at += bytes;
    return this;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2).#at - 2);
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4).#at - 4);
  }

  int64(): number {
    return Number(this.#bytes.readBigInt64BE(this.skip(8).#at - 8));
  }

  uvarint(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  string(): string {
    return this.#text(Math.max(0, this.int16()));
  }

  compactString(): string {
    return this.#text(Math.max(0, this.uvarint() - 1));
  }

  /** Leaves them out. */
  tags(): void {
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.skip(this.uvarint());
    }
  }

  #text(bytes: number): string {
    return this.#bytes.toString("utf8", this.#at, this.skip(bytes).#at);
  }
}
