import { describe, expect, test } from "bun:test";
import type { StoredBytes } from "../bytes/chunks.ts";
import type { Socket } from "../io/net.ts";
import { SendQueue, type SendQueueOwner } from "./send-queue.ts";

/** Of a sink's socket. */
const SOCKET = 7;

/** Takes what `takes` says for each write (the rest of the list's last entry), and remembers it. */
class Sink {
  readonly writes: { bytes: Uint8Array; at: number; length: number }[] = [];
  text = "";
  takes: number[];
  /** Of files that are sent to it, as far as that can be done. */
  takesOfFiles: number | null = null;
  filesSent = 0;

  constructor(...takes: number[]) {
    this.takes = takes;
  }

  readonly socket = {
    descriptor: SOCKET,
    write: (bytes: Uint8Array, at = 0, length = bytes.byteLength - at) => {
      this.writes.push({ bytes, at, length });
      const limit = this.takes.length > 1 ? this.takes.shift()! : this.takes[0]!;
      const taken = Math.min(limit, length);
      if (taken > 0) this.text += Buffer.from(bytes).toString("latin1", at, at + taken);
      return taken;
    },
  } as unknown as Socket;
}

const nobody: SendQueueOwner = {
  onRead: () => {},
  onUnreadable: (reason) => {
    throw new Error(reason);
  },
};

/** Stored bytes "0123456789012…" of which the first `hot` are in the page cache. */
class Stored implements StoredBytes {
  readonly byteLength: number;
  hot: number;
  releases = 0;
  /** Cold reads that wait to be answered with so many bytes, or an error. */
  readonly waiting: ((got: number | Error) => void)[] = [];
  private readonly sink: Sink | null;

  /** `sink`: where it can be sent to. */
  constructor(bytes: number, hot = bytes, sink: Sink | null = null) {
    this.byteLength = bytes;
    this.hot = hot;
    this.sink = sink;
  }

  sendHot(socket: number, at: number, length: number): number {
    expect([socket, this.releases]).toEqual([SOCKET, 0]);
    expect(at + length).toBeLessThanOrEqual(this.byteLength);
    const { sink } = this;
    if (sink === null || sink.takesOfFiles === null || at + length > this.hot) return -1;
    const taken = Math.min(length, sink.takesOfFiles);
    sink.text += digits(at, taken).toString("latin1");
    if (taken > 0) sink.filesSent++;
    return taken;
  }

  readHot(into: Uint8Array, at: number): number {
    expect(this.releases).toBe(0);
    expect(at + into.length).toBeLessThanOrEqual(this.byteLength);
    const got = Math.min(into.length, this.hot - at);
    if (got <= 0) return -1;
    into.set(digits(at, got));
    return got;
  }

  readCold(into: Uint8Array, at: number): Promise<number> {
    expect(at + into.length).toBeLessThanOrEqual(this.byteLength);
    return new Promise((resolve, reject) => {
      this.waiting.push((got) => {
        expect(this.releases).toBe(0);
        if (got instanceof Error) return reject(got);
        into.set(digits(at, got));
        resolve(got);
      });
    });
  }

  release(): void {
    this.releases++;
  }
}

const DIGITS = Buffer.alloc(6 << 20, "0123456789");
const digits = (at: number, count: number): Buffer => DIGITS.subarray(at, at + count);

const piece = (size: number, letter: string): Buffer => Buffer.alloc(size, letter);

describe("the send queue", () => {
  test("small pieces go out in one write, in order", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([piece(3, "a"), piece(0, "-"), piece(5, "b")]);
    queue.push([piece(2, "c")]);
    expect(queue.flush()).toBe(10);
    expect(sink.text).toBe("aaabbbbbcc");
    expect(sink.writes.length).toBe(1);
    expect(queue.bytes).toBe(0);
  });

  test("large pieces are written from where they lie", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket, nobody);
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
    const queue = new SendQueue(sink.socket, nobody);
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
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([piece(10, "a")]);
    expect(queue.flush()).toBe(4);
    expect(queue.flush()).toBe(0);
    expect(sink.writes.length).toBe(1);
    queue.unblock();
    expect(queue.flush()).toBe(4);
  });

  test("a closed socket (-1) takes nothing and is not tried again", () => {
    const sink = new Sink(-1);
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([piece(10, "a")]);
    expect(queue.flush()).toBe(0);
    expect(queue.flush()).toBe(0);
    expect(sink.writes.length).toBe(1);
    expect(queue.bytes).toBe(10);
  });

  test("what waits does not keep much larger buffers alive", () => {
    const sink = new Sink(0);
    const queue = new SendQueue(sink.socket, nobody);
    const backing = piece(512 * 1024, "b");
    queue.push([backing.subarray(5, 105), backing.subarray(0, 200_000)]);
    queue.flush();
    sink.takes = [Number.POSITIVE_INFINITY];
    queue.unblock();
    queue.flush();
    const written = sink.writes.slice(1);
    expect(sink.text.length).toBe(200_100);
    for (const { bytes, length } of written) {
      expect(bytes.buffer.byteLength).toBeLessThanOrEqual(Math.max(4 * length, 1024 * 1024)); // 1 MiB: the one gathering buffer
    }
    expect(written.some(({ bytes }) => bytes.buffer === backing.buffer)).toBe(true); // 200 of 512 KB: not worth a copy
  });
});

describe("the send queue, with pieces that lie in files", () => {
  test.each([511, 4096, 100_000, 262_144, Number.POSITIVE_INFINITY])(
    "a socket that takes %d bytes at a time gets them all, in order",
    (part) => {
      const stored = [new Stored(10), new Stored(600_000), new Stored(0), new Stored(3)];
      const sink = new Sink(part);
      const queue = new SendQueue(sink.socket, nobody);
      queue.push([piece(5, "a"), stored[0]!, stored[1]!, piece(40_000, "b"), stored[2]!, stored[3]!, piece(2, "c")]);
      expect(queue.heldBytes).toBe(40_007);
      while (queue.bytes > 0) {
        queue.unblock();
        queue.flush();
      }
      const wanted = [piece(5, "a"), digits(0, 10), digits(0, 600_000), piece(40_000, "b"), digits(0, 3), piece(2, "c")];
      expect(sink.text === Buffer.concat(wanted).toString("latin1")).toBe(true);
      expect(stored.map(({ releases }) => releases)).toEqual([1, 1, 1, 1]);
      expect(queue.heldBytes).toBe(0);
    },
  );

  test("small ones and what stands around them go out in one write", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([piece(5, "a"), new Stored(10), piece(5, "b"), new Stored(10)]);
    queue.flush();
    expect(sink.writes.length).toBe(1);
    expect(sink.text).toBe("aaaaa0123456789bbbbb0123456789");
  });

  test("what is cold is read in a thread; meanwhile nothing overtakes it", async () => {
    let reads = 0;
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket, { ...nobody, onRead: () => void reads++ });
    const stored = new Stored(300_000, 100);
    queue.push([piece(3, "a"), stored, piece(3, "b")]);
    expect(queue.flush()).toBe(103);
    expect(queue.mayFlush).toBe(false);
    expect(queue.flush()).toBe(0);
    stored.waiting.shift()!(262_144);
    await Promise.resolve();
    expect(reads).toBe(1);
    expect(queue.heldBytes).toBe(262_144 + 3);
    stored.hot = 300_000; // the rest was read ahead
    queue.flush();
    expect(sink.text === `aaa${digits(0, 300_000).toString("latin1")}bbb`).toBe(true);
    expect([queue.bytes, queue.heldBytes, stored.releases]).toEqual([0, 0, 1]);
  });

  test.each([new Error("EIO"), 5])("a file that cannot be read, or ends early (%p), is told", async (outcome) => {
    let told = "";
    const queue = new SendQueue(new Sink(Number.POSITIVE_INFINITY).socket, {
      ...nobody,
      onUnreadable: (reason) => {
        told = reason;
      },
    });
    const stored = new Stored(100, 0);
    queue.push([stored]);
    queue.flush();
    stored.waiting.shift()!(outcome);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(told).not.toBe("");
    queue.clear();
    expect(stored.releases).toBe(1);
  });

  test("a file that is being read when everything is dropped is let go once it was read", async () => {
    const queue = new SendQueue(new Sink(Number.POSITIVE_INFINITY).socket, nobody);
    const [reading, waiting] = [new Stored(100, 0), new Stored(100)];
    queue.push([reading, waiting]);
    queue.flush();
    queue.clear();
    expect([reading.releases, waiting.releases]).toEqual([0, 1]);
    reading.waiting.shift()!(100);
    await Promise.resolve();
    expect([reading.releases, waiting.releases]).toEqual([1, 1]);
    expect(queue.bytes).toBe(0);
  });

  test.each([1000, 65_536, 300_000, Number.POSITIVE_INFINITY])(
    "what is much is sent from its files to a socket that takes %d bytes at a time, in order with what stands around it",
    (part) => {
      const sink = new Sink(part);
      sink.takesOfFiles = part;
      const stored = [1_500_000, 70_000, 10_000, 900_000].map((bytes) => new Stored(bytes, bytes, sink));
      const queue = new SendQueue(sink.socket, nobody);
      queue.push([piece(100, "a"), stored[0]!, piece(3, "b"), stored[1]!, stored[2]!, stored[3]!, piece(2, "c")]);
      for (let turns = 0; queue.bytes > 0; turns++) {
        if (turns % 7 === 3) sink.takesOfFiles = 0; // it is full
        queue.unblock();
        queue.flush();
        sink.takesOfFiles = part;
      }
      const wanted = [piece(100, "a"), digits(0, 1_500_000), piece(3, "b"), digits(0, 70_000), digits(0, 10_000)];
      expect(sink.text === Buffer.concat([...wanted, digits(0, 900_000), piece(2, "c")]).toString("latin1")).toBe(true);
      expect(stored.map(({ releases }) => releases)).toEqual([1, 1, 1, 1]);
      expect(sink.filesSent).toBeGreaterThan(1);
    },
  );

  test("a full socket is written to, because only then it tells that it has drained", () => {
    const sink = new Sink(0);
    sink.takesOfFiles = 0;
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([new Stored(3 << 20, 3 << 20, sink)]);
    expect(queue.flush()).toBe(0);
    expect([sink.writes.length, queue.isBlocked]).toEqual([1, true]);
    expect(sink.writes[0]!.length).toBeLessThan(10_000);
  });

  test("what is little is written, and so is what cannot be sent", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    sink.takesOfFiles = Number.POSITIVE_INFINITY;
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([new Stored(200_000, 200_000, sink)]);
    expect([queue.flush(), sink.filesSent]).toEqual([200_000, 0]);
    queue.push([new Stored(3_000_000)]);
    expect([queue.flush(), sink.filesSent]).toEqual([3_000_000, 0]);
    expect(sink.text === Buffer.concat([digits(0, 200_000), digits(0, 3_000_000)]).toString("latin1")).toBe(true);
  });

  test("one flush writes a turn's share and says that there is more", () => {
    const sink = new Sink(Number.POSITIVE_INFINITY);
    const queue = new SendQueue(sink.socket, nobody);
    queue.push([new Stored(6 * 1024 * 1024)]);
    const first = queue.flush();
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(5 * 1024 * 1024);
    expect(queue.mayFlush).toBe(true);
  });
});
