import { describe, expect, test } from "bun:test";
import type { Socket } from "../io/net.ts";
import { SendQueue } from "./send-queue.ts";

/** Takes what `takes` says for each write (the rest of the list's last entry), and remembers it. */
class Sink {
  readonly writes: { bytes: Uint8Array; at: number; length: number }[] = [];
  text = "";
  takes: number[];

  constructor(...takes: number[]) {
    this.takes = takes;
  }

  readonly socket = {
    write: (bytes: Uint8Array, at = 0, length = bytes.byteLength - at) => {
      this.writes.push({ bytes, at, length });
      const limit = this.takes.length > 1 ? this.takes.shift()! : this.takes[0]!;
      const taken = Math.min(limit, length);
      if (taken > 0) this.text += Buffer.from(bytes).toString("latin1", at, at + taken);
      return taken;
    },
  } as unknown as Socket;
}

const piece = (size: number, letter: string): Buffer => Buffer.alloc(size, letter);

describe("the send queue", () => {
  test("small pieces go out in one write, in order", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket);
    queue.push([piece(3, "a"), piece(0, "-"), piece(5, "b")]);
    queue.push([piece(2, "c")]);
    expect(queue.flush()).toBe(10);
    expect(sink.text).toBe("aaabbbbbcc");
    expect(sink.writes.length).toBe(1);
    expect(queue.bytes).toBe(0);
  });

  test("large pieces are written from where they lie", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket);
    const large = piece(1 << 20, "L");
    queue.push([piece(10, "a"), large, piece(10, "z")]);
    queue.flush();
    expect(sink.writes.some(({ bytes }) => bytes === large)).toBe(true);
    expect(sink.text).toBe(`${"a".repeat(10)}${"L".repeat(1 << 20)}${"z".repeat(10)}`);
  });

  test.each([61, 4999, 32_768, 40_000])("whatever part the socket takes (%d bytes), nothing is lost or doubled", (part) => {
    const sizes = [1, 100, 3, 50_000, 2, 2, 33_000, 700, 20_000, 20_000, 20_000, 5];
    const pieces = sizes.map((size, index) => piece(size, String.fromCharCode(97 + index)));
    const sink = new Sink(part);
    const queue = new SendQueue(sink.socket);
    queue.push(pieces.slice(0, 6));
    let pushed = false;
    while (queue.bytes > 0) {
      queue.unblock();
      queue.flush();
      if (!pushed && sink.text.length > 20_000) {
        queue.push(pieces.slice(6));
        pushed = true;
      }
    }
    expect(sink.text === pieces.map((p) => p.toString("latin1")).join("")).toBe(true);
  });

  test("once the socket takes less than all, it is left alone until it drains", () => {
    const sink = new Sink(4);
    const queue = new SendQueue(sink.socket);
    queue.push([piece(10, "a")]);
    expect(queue.flush()).toBe(4);
    expect(queue.flush()).toBe(0);
    expect(sink.writes.length).toBe(1);
    queue.unblock();
    expect(queue.flush()).toBe(4);
  });

  test("a closed socket (-1) takes nothing and is not tried again", () => {
    const sink = new Sink(-1);
    const queue = new SendQueue(sink.socket);
    queue.push([piece(10, "a")]);
    expect(queue.flush()).toBe(0);
    expect(queue.flush()).toBe(0);
    expect(sink.writes.length).toBe(1);
    expect(queue.bytes).toBe(10);
  });

  test("what waits does not keep much larger buffers alive", () => {
    const sink = new Sink(0);
    const queue = new SendQueue(sink.socket);
    const backing = piece(512 * 1024, "b");
    queue.push([backing.subarray(5, 105), backing.subarray(0, 200_000)]);
    queue.flush();
    sink.takes = [Number.POSITIVE_INFINITY];
    queue.unblock();
    queue.flush();
    const written = sink.writes.slice(1);
    expect(sink.text.length).toBe(200_100);
    for (const { bytes, length } of written) {
      expect(bytes.buffer.byteLength).toBeLessThanOrEqual(Math.max(4 * length, 128 * 1024)); // 128 KiB: the one gathering buffer
    }
    expect(written.some(({ bytes }) => bytes.buffer === backing.buffer)).toBe(true); // 200 of 512 KB: not worth a copy
  });
});
