import { afterAll, describe, expect, test } from "bun:test";
import { readBatches } from "../../test/fixtures/record/read.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec, compressionType, recordCount } from "./batch.ts";
import { decompress } from "./compression.ts";
import { type Unpacked, type UnpackJob, unpackBatch } from "./unpack-batch.ts";
import { UnpackThread } from "./unpack-thread.ts";

const thread = new UnpackThread();
afterAll(() => thread.close());

const job = (batch: Buffer, changes: Partial<UnpackJob> = {}): UnpackJob => ({
  codec: compressionType(batch, 0),
  bytes: batch.subarray(61),
  recordCount: recordCount(batch, 0),
  maxBytes: 1 << 20,
  maxZstdWindowBytes: 1 << 23,
  maxRecordBytes: Number.POSITIVE_INFINITY,
  target: null,
  maxResultBytes: 1 << 20,
  ...changes,
});

/** Of a level that is too much for the loop, whatever the batch. */
const hard = (batch: Buffer, changes: Partial<UnpackJob> = {}) =>
  job(Buffer.concat([batch.subarray(0, 61), batch.subarray(61)]), { target: { codec: "zstd", level: 19 }, ...changes });

const inThread = (asked: UnpackJob): Promise<Unpacked> => {
  const done = thread.unpack(asked);
  expect(done).toBeInstanceOf(Promise);
  return done as Promise<Unpacked>;
};

// The room for a header holds whatever was there before.
const shown = (u: Unpacked) => ({ ...u, records: u.records === null ? null : u.records.subarray(61) });

/** Records that come to more than a millisecond's work, in every codec that Kafka wrote them in. */
const large = readBatches().filter(({ name }) => /^(gzip|snappy|lz4|zstd)-large$/.test(name));

describe("the thread", () => {
  test("does what the loop would do, in order", async () => {
    const done: string[] = [];
    const asked = large.flatMap((fixture) =>
      (["gzip", "lz4", "zstd"] as const).map(async (codec) => {
        const wanted = job(fixture.bytes, { target: { codec, level: codec === "lz4" ? 3 : 9 } });
        const unpacked = await inThread(wanted);
        expect(shown(unpacked)).toEqual(shown(unpackBatch(wanted)));
        const back = decompress(Codec[codec], unpacked.records!, 61, unpacked.records!.length, 1 << 20);
        expect(back.equals(decompress(wanted.codec, wanted.bytes, 0, wanted.bytes.length, 1 << 20))).toBe(true);
        done.push(`${fixture.name} ${codec}`);
        return `${fixture.name} ${codec}`;
      }),
    );
    expect(await Promise.all(asked)).toEqual(done);
    expect(done.length).toBe(12);
  });

  test("says what is wrong with records", async () => {
    const { bytes } = large.find(({ name }) => name === "zstd-large")!;
    const small = await inThread(hard(bytes, { maxBytes: 1000 }));
    expect((small.skimmed as KafkaError).error).toBe("MESSAGE_TOO_LARGE");
    expect(small.skimmed).toBeInstanceOf(KafkaError);
    const bad = await inThread(hard(bytes, { recordCount: 1 }));
    expect((bad.skimmed as KafkaError).error).toBe("INVALID_RECORD");
    expect(await inThread(hard(bytes, { maxResultBytes: 100 }))).toMatchObject({ isTooLarge: true, records: null });
  });

  test("what is not done when it is closed is given up", async () => {
    const own = new UnpackThread();
    const { bytes } = large[0]!;
    const done = [hard(bytes), hard(bytes)].map((one) => own.unpack(one) as Promise<Unpacked>);
    await Bun.sleep(1);
    own.close();
    for (const one of done) expect(await one.catch((error: KafkaError) => error.error)).toBe("NOT_LEADER_OR_FOLLOWER");
  });

  test("is given no more of a buffer than the job's", async () => {
    const { bytes } = large[0]!;
    const received = Buffer.concat([Buffer.alloc(100), bytes]);
    const asked = job(received.subarray(100), { target: { codec: "zstd", level: 19 } });
    expect(shown(await inThread(asked))).toEqual(shown(unpackBatch(hard(bytes))));
    expect(received.length).toBe(100 + bytes.length); // it still has its memory
  });

  test("is not asked for what the loop does in no time", () => {
    const small = readBatches().filter(({ name }) => /-(one|mixed|many)$/.test(name));
    for (const { bytes } of small) {
      for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
        const target = { codec, level: codec === "lz4" ? 9 : 3 };
        expect(thread.unpack(job(bytes, { target }))).not.toBeInstanceOf(Promise);
      }
      expect(thread.unpack(job(bytes))).not.toBeInstanceOf(Promise);
    }
  });
});
