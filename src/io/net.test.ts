/** What the rest of the broker relies on of the system's sockets, as Bun gives them to us. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { type Listener, realNet, type Socket, type SocketOwner } from "./net.ts";
import { realDisk } from "./real-disk.ts";

/** cachestat came with Linux 6.5; without it files are read and written. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const tellsWhatIsCached = process.platform === "linux" && (major > 6 || (major === 6 && minor >= 5));

class Owner implements SocketOwner {
  readonly chunks: Buffer[] = [];
  drains = 0;
  closed: { error: Error | null } | null = null;
  socket!: Socket;
  onData(bytes: Buffer): void {
    this.chunks.push(bytes);
  }
  onDrain(): void {
    this.drains++;
  }
  onClose(error: Error | null): void {
    this.closed = { error };
  }
  get received(): number {
    return this.chunks.reduce((sum, { length }) => sum + length, 0);
  }
}

let listeners: Listener[] = [];
let peers: Bun.Socket<undefined>[] = [];
afterEach(() => {
  for (const peer of peers) peer.terminate();
  for (const listener of listeners) listener.stop();
  listeners = [];
  peers = [];
});

function listen(host: string, accept: (socket: Socket) => SocketOwner | null, port = 0, sendBufferBytes = 256 * 1024): Listener {
  const listener = realNet.listen({ host, port, sendBufferBytes, accept });
  listeners.push(listener);
  return listener;
}

async function connect(host: string, port: number): Promise<Bun.Socket<undefined>> {
  const peer = await Bun.connect({ hostname: host, port, socket: { data() {}, error() {} } });
  peers.push(peer);
  return peer;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; !condition(); i++) {
    if (i === 3000) throw new Error("waited too long");
    await Bun.sleep(1);
  }
}

/** A server side and a client side. */
async function pair(host = "127.0.0.1", to = host, sendBufferBytes?: number) {
  const owner = new Owner();
  const accept = (socket: Socket): SocketOwner => {
    owner.socket = socket;
    return owner;
  };
  const { port } = listen(host, accept, 0, sendBufferBytes);
  const peer = await connect(to, port);
  await until(() => owner.socket !== undefined);
  return { owner, peer, port };
}

describe("listening", () => {
  test("port 0 gives a free one, and the addresses are known", async () => {
    const { owner, peer, port } = await pair();
    expect(port).toBeGreaterThan(0);
    const { remoteAddress, remotePort, localAddress, localPort } = owner.socket;
    expect({ remoteAddress, remotePort, localAddress, localPort }).toEqual({
      remoteAddress: "127.0.0.1",
      remotePort: peer.localPort,
      localAddress: "127.0.0.1",
      localPort: port,
    });
  });

  test("an IPv4 client of an IPv6 socket has its IPv4 address", async () => {
    const { owner } = await pair("::", "127.0.0.1");
    expect([owner.socket.remoteAddress, owner.socket.localAddress]).toEqual(["127.0.0.1", "127.0.0.1"]);
  });

  test.each([
    ["a port in use", "127.0.0.1", "EADDRINUSE"],
    ["an address of another machine", "203.0.113.5", "EADDRNOTAVAIL"],
    ["a name that does not resolve", "nowhere.invalid", "ENOTFOUND"],
  ])("%s is an error with the system's code", (_, host, code) => {
    const { port } = listen("127.0.0.1", () => null);
    let failure: unknown;
    try {
      listen(host, () => null, port);
    } catch (error) {
      failure = error;
    }
    expect(failure).toMatchObject({ code, syscall: "listen" });
  });

  test("a connection that is not accepted is closed; after stop there are no new ones, and the old stay", async () => {
    const { owner, peer, port } = await pair();
    listeners.pop()!.stop();
    expect(connect("127.0.0.1", port)).rejects.toThrow();
    peer.write("still here");
    await until(() => owner.received === 10);
    const refusing = listen("127.0.0.1", () => null);
    let isClosed = false;
    peers.push(
      await Bun.connect({
        hostname: "127.0.0.1",
        port: refusing.port,
        socket: {
          data() {},
          error() {},
          close() {
            isClosed = true;
          },
        },
      }),
    );
    await until(() => isClosed);
  });
});

describe("a socket", () => {
  test("gives each buffer once, of exact size, to keep and to change", async () => {
    const { owner, peer } = await pair();
    peer.write("first");
    await until(() => owner.received === 5);
    owner.chunks[0]!.fill("?");
    peer.write("second");
    await until(() => owner.received === 11);
    expect(owner.chunks.map(String)).toEqual(["?????", "second"]);
    expect(owner.chunks.map(({ byteOffset, buffer }) => [byteOffset, buffer.byteLength])).toEqual([
      [0, 5],
      [0, 6],
    ]);
  });

  test("paused from inside onData, it gives nothing more until it is resumed", async () => {
    const { owner, peer } = await pair();
    owner.onData = (bytes) => {
      owner.chunks.push(bytes);
      owner.socket.pause();
    };
    const payload = Buffer.alloc(3_000_000);
    let sent = peer.write(payload);
    await until(() => owner.chunks.length === 1);
    await Bun.sleep(50);
    expect(owner.chunks.length).toBe(1);
    owner.onData = (bytes) => void owner.chunks.push(bytes);
    owner.socket.resume();
    await until(() => {
      if (sent < payload.length) sent += Math.max(0, peer.write(payload, sent));
      return owner.received === payload.length;
    });
  });

  test("takes what the system takes, drains while paused, and takes copies", async () => {
    const { owner, peer } = await pair();
    peer.pause();
    owner.socket.pause();
    const payload = Buffer.alloc(30 << 20, "a");
    const taken = owner.socket.write(payload, 10, payload.length - 10);
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(payload.length - 10);
    // On a busy machine the system moves what it took on to the peer's side a little later, and then takes some more.
    await until(() => owner.socket.write(payload, 0, 100) === 0);
    owner.drains = 0;
    peer.resume();
    await until(() => owner.drains > 0);
    expect(owner.socket.write(payload, 0, 100)).toBe(100);
  });

  test("has no more on its way than its send buffer holds, however much it is given", async () => {
    const onTheWay = async (sendBufferBytes: number): Promise<number> => {
      const { owner, peer } = await pair("127.0.0.1", "127.0.0.1", sendBufferBytes);
      peer.pause();
      let taken = 0;
      for (let idle = 0; idle < 20; idle++) {
        const more = owner.socket.write(Buffer.alloc(16 << 20));
        taken += more;
        if (more > 0) idle = 0;
        await Bun.sleep(1);
      }
      return taken;
    };
    const [small, byTheSystem] = [await onTheWay(100_000), await onTheWay(-1)];
    expect(small).toBeGreaterThan(0);
    expect(byTheSystem).toBeGreaterThan(small + 500_000);
  });

  test("notices a peer that closes or resets, once, and then takes nothing", async () => {
    const closing = await pair();
    closing.peer.end();
    await until(() => closing.owner.closed !== null);
    expect(closing.owner.closed!.error).toBeNull();
    expect(closing.owner.socket.write(Buffer.from("x"))).toBe(-1);
    const resetting = await pair();
    resetting.owner.socket.pause();
    resetting.peer.terminate();
    await until(() => resetting.owner.closed !== null);
    expect(resetting.owner.closed!.error).toBeInstanceOf(Error);
  });

  test("close sends what was taken; close and abort may be called again", async () => {
    let text = "";
    let isClosed = false;
    const owner = new Owner();
    const { port } = listen("127.0.0.1", (socket) => {
      owner.socket = socket;
      return owner;
    });
    const socket = {
      data(_: unknown, bytes: Buffer) {
        text += bytes;
      },
      close() {
        isClosed = true;
      },
      error() {},
    };
    peers.push(await Bun.connect({ hostname: "127.0.0.1", port, socket }));
    await until(() => owner.socket !== undefined);
    owner.socket.write(Buffer.alloc(100_000, "z"));
    owner.socket.close();
    await until(() => isClosed);
    expect(text.length).toBe(100_000);
    expect(owner.closed).toEqual({ error: null });
    owner.socket.close();
    owner.socket.abort();
    owner.socket.pause();
    owner.socket.resume();
  });
});

test.if(tellsWhatIsCached)(
  "a file goes to the socket from where it lies, as much as it takes; a closed one has no number",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "quarkmq-net-"));
    const owner = new Owner();
    const { port } = listen("127.0.0.1", (socket) => {
      owner.socket = socket;
      return owner;
    });
    const got: Buffer[] = [];
    let reads = false;
    const peer = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_, bytes) => void got.push(Buffer.from(bytes)), open: (raw) => raw.pause(), error() {} },
    });
    peers.push(peer as unknown as Bun.Socket<undefined>);
    await until(() => owner.socket !== undefined);
    const file = realDisk.open(join(directory, "f"), "create");
    try {
      const content = Buffer.from(Array.from({ length: 16 << 20 }, (_, i) => (i * 7 + (i >> 12)) & 255));
      file.write(content, 0);
      await file.sync();
      const { descriptor } = owner.socket;
      expect(descriptor).toBeGreaterThan(2);
      let sent = 0;
      while (sent < content.length) {
        const taken = file.sendHot(descriptor, sent, Math.min(1 << 20, content.length - sent));
        expect(taken).toBeGreaterThanOrEqual(0);
        sent += taken;
        if (taken > 0) continue;
        // Full: only a write makes the system tell when it has drained.
        if (!reads) peer.resume();
        reads = true;
        const { drains } = owner;
        const probe = owner.socket.write(content, sent, 4096);
        sent += probe;
        if (probe < 4096) await until(() => owner.drains > drains);
      }
      await until(() => got.reduce((sum, { length }) => sum + length, 0) === content.length);
      expect(Buffer.concat(got).equals(content)).toBe(true);
      expect(reads).toBe(true);
      expect(file.sendHot(descriptor, content.length - 10, 100)).toBe(-1); // the file ends before
      owner.socket.abort();
      await until(() => owner.closed !== null);
      expect(owner.socket.descriptor).toBe(-1);
    } finally {
      file.close();
      rmSync(directory, { recursive: true });
    }
  },
);
