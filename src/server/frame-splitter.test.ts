import { describe, expect, test } from "bun:test";
import { MalformedError } from "../protocol/errors.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import type { Frame } from "./received.ts";

const MAX_BYTES = 100 << 20;

const text = (frame: Frame): string => frame.received.buffer.toString("latin1", frame.at, frame.limit);

/** 00000003 "abc", 00000000, 00000005 "hello", 00000001 "!" */
const STREAM = Buffer.from("\0\0\0\u0003abc\0\0\0\0\0\0\0\u0005hello\0\0\0\u0001!", "latin1");
const FRAMES = ["abc", "", "hello", "!"];

function make(maxBytes = MAX_BYTES) {
  const held = { bytes: 0 };
  return { held, splitter: new FrameSplitter(maxBytes, held) };
}

/** Pushes copies, because a splitter may keep and a network gives each buffer once. */
function pushAll(splitter: FrameSplitter, pieces: readonly Buffer[]): string[] {
  const found: string[] = [];
  for (const piece of pieces) {
    splitter.push(Buffer.from(piece));
    for (let frame = splitter.next(); frame !== null; frame = splitter.next()) {
      found.push(text(frame));
      frame.received.release();
    }
  }
  return found;
}

describe("splitting a stream into frames", () => {
  test("cut at any two places, the frames are the same and nothing stays held", () => {
    for (let a = 0; a <= STREAM.length; a++) {
      for (let b = a; b <= STREAM.length; b++) {
        const { splitter, held } = make();
        expect(pushAll(splitter, [STREAM.subarray(0, a), STREAM.subarray(a, b), STREAM.subarray(b)])).toEqual(FRAMES);
        expect(held.bytes).toBe(0);
        expect(splitter.isUnfinished).toBe(false);
      }
    }
  });

  test("byte by byte", () => {
    const { splitter, held } = make();
    expect(
      pushAll(
        splitter,
        [...STREAM].map((byte) => Buffer.from([byte])),
      ),
    ).toEqual(FRAMES);
    expect(held.bytes).toBe(0);
  });

  test("a frame inside one buffer is a view of it, one that spans buffers has exactly its size", () => {
    const { splitter } = make();
    const whole = Buffer.from(STREAM);
    splitter.push(whole);
    expect(splitter.next()!.received.buffer).toBe(whole);
    const spanning = make().splitter;
    const big = Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.alloc(65536, "a")]);
    spanning.push(big.subarray(0, 40_000));
    expect(spanning.next()).toBeNull();
    spanning.push(big.subarray(40_000));
    const { received, at, limit } = spanning.next()!;
    expect([received.buffer.length, received.buffer.buffer.byteLength, at, limit]).toEqual([65536, 65536, 0, 65536]);
    expect(received.buffer.equals(Buffer.alloc(65536, "a"))).toBe(true);
  });

  test("large and small parts alternate: what is held stays near what came", () => {
    const { splitter, held } = make();
    const sizes = [4096, 1, 5000, 4095, 1, 1, 70_000, 3, 9000, 4096];
    const body = Buffer.alloc(sizes.reduce((sum, size) => sum + size) - 4, "0123456789abc");
    const stream = Buffer.concat([Buffer.from([0, 1, 0x78, 0x21]), body]); // 0x00017821 = 96289
    expect(stream.readInt32BE(0)).toBe(body.length);
    let at = 0;
    for (const size of sizes.slice(0, -1)) {
      splitter.push(Buffer.from(stream.subarray(at, at + size)));
      at += size;
      expect(splitter.next()).toBeNull();
      expect(splitter.missingBytes).toBe(stream.length - at);
      expect(held.bytes).toBeGreaterThanOrEqual(at - 4);
      expect(held.bytes).toBeLessThanOrEqual(2 * at + 4096);
    }
    splitter.push(Buffer.from(stream.subarray(at)));
    const { received, limit } = splitter.next()!;
    expect(limit).toBe(body.length);
    expect(received.buffer.equals(body)).toBe(true);
    expect(held.bytes).toBe(body.length);
  });

  test.each([true, false])(
    "buffers are freed once nobody uses them, but for those that a handler may keep views of (%p)",
    (keeps) => {
      const { splitter } = make();
      const first = Buffer.alloc(10_000, 1);
      const second = Buffer.alloc(10_000, 1);
      const third = Buffer.alloc(10_000, 1);
      first.writeInt32BE(25_000, 0);
      third.writeInt32BE(9970 - 5004 - 4, 5004); // the first frame ends here; two more lie inside this buffer
      third.writeInt32BE(26, 9970);
      for (const buffer of [first, second, third]) splitter.push(buffer);
      for (let frame = splitter.next(); frame !== null; frame = splitter.next()) {
        if (keeps) frame.received.isShared = true;
        expect(frame.received.buffer.byteLength).toBeGreaterThanOrEqual(frame.bytes);
        frame.received.release();
      }
      expect([first, second, third].map((buffer) => buffer.byteLength)).toEqual([0, 0, keeps ? 10_000 : 0]);
    },
  );

  test("a buffer counts until the last of its frames is released", () => {
    const { splitter, held } = make();
    splitter.push(Buffer.from(STREAM));
    const frames = [splitter.next()!, splitter.next()!, splitter.next()!, splitter.next()!];
    expect(splitter.next()).toBeNull();
    for (const frame of frames) {
      expect(held.bytes).toBe(STREAM.length);
      frame.received.release();
    }
    expect(held.bytes).toBe(0);
  });

  test.each([-1, -2147483648, 101, 2147483647])("a size of %d is refused as soon as it is read", (size) => {
    const { splitter } = make(100);
    const field = Buffer.alloc(4);
    field.writeInt32BE(size);
    splitter.push(Buffer.from(field.subarray(0, 3)));
    expect(splitter.next()).toBeNull();
    splitter.push(Buffer.from(field.subarray(3)));
    expect(() => splitter.next()).toThrow(MalformedError);
  });

  test("the largest allowed size is not refused", () => {
    const { splitter } = make(100);
    expect(pushAll(splitter, [Buffer.from([0, 0, 0, 100]), Buffer.alloc(100, "z")])).toEqual(["z".repeat(100)]);
  });

  test("other protocols are named", () => {
    for (const [bytes, name] of [
      ["GET / HTTP/1.1\r\n", "HTTP"],
      ["\u0016\u0003\u0001\u0002\u0000\u0001", "TLS"],
    ] as const) {
      const { splitter } = make();
      splitter.push(Buffer.from(bytes, "latin1"));
      expect(() => splitter.next()).toThrow(name);
    }
  });

  test("100 MiB announced and little sent costs little", () => {
    const { splitter, held } = make();
    splitter.push(Buffer.from([6, 64, 0, 0])); // 0x06400000 = 100 MiB
    expect(splitter.next()).toBeNull();
    expect(splitter.missingBytes).toBe(100 << 20);
    let most = held.bytes;
    for (let sent = 1; sent <= 3000; sent++) {
      splitter.push(Buffer.from([1]));
      expect(splitter.next()).toBeNull();
      most = Math.max(most, held.bytes);
    }
    expect(most).toBeLessThanOrEqual(4096);
    splitter.push(Buffer.alloc(500_000));
    expect(splitter.next()).toBeNull();
    expect(held.bytes).toBeLessThanOrEqual(504_096);
    splitter.clear();
    expect(held.bytes).toBe(0);
  });
});
