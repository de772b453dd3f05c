/**
 * Sockets, injected so that a simulated network can deliver bytes late, in pieces, or never, and take answers as slowly as it
 * likes. Everything is callbacks on one owner per socket: no promise and no closure per event.
 */

import { setSendBuffer } from "./libc.ts";

/** What happens to one socket. Called by the network, never from inside a call into the network but for `onClose` (see `close`). */
export interface SocketOwner {
  /** Bytes came: one buffer of its own, which the owner may keep, change and detach. Not called while paused, nor after `onClose`. */
  onData(bytes: Buffer): void;
  /** The socket may take more. May come without need. Comes while paused, too. */
  onDrain(): void;
  /** The socket is gone, by either side; the last call. `error` when it was not an orderly close. */
  onClose(error: Error | null): void;
}

export interface Socket {
  /** Without IPv6 brackets; an IPv4 client of an IPv6 socket has its IPv4 address. "" once closed. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** The system's number for it, for calls that send to it; -1 when it is closed, or is not a plain socket of the system. */
  readonly descriptor: number;
  /**
   * Hands bytes from `at` (0) for `length` (the rest) to the system. Returns how many it took, which may be none: go on after `onDrain`. -1: the socket
   * is closed. What was taken is copied: the caller may reuse the buffer.
   */
  write(bytes: Uint8Array, at?: number, length?: number): number;
  /** Nothing is read until `resume`. A peer that closes in order is not noticed until then either; one that resets is. */
  pause(): void;
  resume(): void;
  /** Sends what was taken, then closes. `onClose` may come before this returns. Does nothing when closed. */
  close(): void;
  /** Drops the connection: what the peer has not read may be lost. `onClose` may come before this returns. */
  abort(): void;
}

export interface ListenOptions {
  /** An address, or a name that resolves to one. */
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** How much is on its way to one peer at a time (Linux takes twice as much, to count its own overhead); -1: as the system finds fit. */
  readonly sendBufferBytes: number;
  /** A new connection: its owner, or null to close it at once. */
  accept(socket: Socket): SocketOwner | null;
}

export interface Listener {
  readonly host: string;
  /** The real one, when 0 was asked for. */
  readonly port: number;
  /** Accepts no more; what was accepted stays. */
  stop(): void;
}

export interface Net {
  /** Throws with the system's `code` (EADDRINUSE, EADDRNOTAVAIL, EACCES, …) and `syscall` "listen". */
  listen(options: ListenOptions): Listener;
  /** Runs `run` once the sockets that are ready now had their turn: how long work is cut into slices. */
  nextTurn(run: () => void): void;
}

/** Probes to a silent peer begin after this long, so that a machine that vanished does not hold a long poll for ever. */
const KEEP_ALIVE_MS = 120_000;

const IPV4_IN_IPV6 = "::ffff:";

const plainAddress = (address: string): string =>
  address.startsWith(IPV4_IN_IPV6) && address.includes(".") ? address.slice(IPV4_IN_IPV6.length) : address;

class RealSocket implements Socket {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  owner: SocketOwner | null = null;
  private readonly raw: Bun.Socket<RealSocket | undefined>;

  constructor(raw: Bun.Socket<RealSocket | undefined>) {
    this.raw = raw;
    this.remoteAddress = plainAddress(raw.remoteAddress); // the raw socket forgets these when it closes
    this.remotePort = raw.remotePort;
    this.localAddress = plainAddress(raw.localAddress);
    this.localPort = raw.localPort;
  }

  get descriptor(): number {
    return this.owner === null ? -1 : (this.raw as unknown as { readonly fd: number }).fd; // not in Bun's published types
  }

  write(bytes: Uint8Array, at = 0, length: number = bytes.byteLength - at): number {
    return this.raw.write(bytes as Uint8Array<ArrayBuffer>, at, length);
  }

  pause(): void {
    this.raw.pause();
  }

  resume(): void {
    this.raw.resume();
  }

  close(): void {
    this.raw.end();
  }

  abort(): void {
    this.raw.terminate();
  }
}

const handlers = ({ accept, sendBufferBytes }: ListenOptions): Bun.SocketHandler<RealSocket | undefined> => ({
  open(raw) {
    const socket = new RealSocket(raw);
    socket.owner = accept(socket);
    if (socket.owner === null) {
      raw.terminate(); // not `end`: a peer that is not wanted shall not leave a socket behind
      return;
    }
    raw.data = socket;
    raw.setNoDelay(true);
    if (sendBufferBytes >= 0) setSendBuffer(socket.descriptor, sendBufferBytes); // without: slower, no worse
    raw.setKeepAlive(true, KEEP_ALIVE_MS);
  },
  data: (raw, bytes) => raw.data?.owner?.onData(bytes),
  drain: (raw) => raw.data?.owner?.onDrain(),
  close(raw, error) {
    const socket = raw.data;
    const owner = socket?.owner;
    if (socket === undefined || owner === null || owner === undefined) return;
    socket.owner = null;
    owner.onClose(error ?? null);
  },
  error(_raw, error) {
    throw error; // from a handler above: a bug of ours, so it goes the way of all uncaught errors
  },
});

/** The system's sockets, through `Bun.listen`: each `data` is a fresh buffer of exact size, up to 512 KiB. */
export const realNet: Net = {
  listen(options) {
    const listener = listen(options.host, options.port, handlers(options));
    return { host: listener.hostname, port: listener.port, stop: () => listener.stop(false) };
  },
  nextTurn: (run) => void setImmediate(run),
};

function listen(host: string, port: number, socket: Bun.SocketHandler<RealSocket | undefined>) {
  try {
    return Bun.listen<RealSocket | undefined>({ hostname: host, port, socket });
  } catch (error) {
    const failed = error as { code?: string; syscall?: string };
    failed.code ??= "ENOTFOUND"; // Bun gives no code when the name does not resolve
    failed.syscall ??= "listen";
    throw error;
  }
}
