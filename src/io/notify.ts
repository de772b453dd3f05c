/**
 * Telling systemd how the process is (sd_notify): one datagram to the AF_UNIX socket that NOTIFY_SOCKET names. Bun has no such
 * sockets, so this goes through the C library; without the variable, the platform or the library it does nothing.
 * Protocol: sd_notify(3), sd_watchdog_enabled(3).
 */
import { ptr } from "bun:ffi";
import type { Clock, Scheduled } from "./clock.ts";
import { lookUp } from "./libc.ts";

export interface Notifier {
  /** Serving; the unit counts as started. Pings the watchdog from now on, if the unit has one. */
  ready(status: string): void;
  /** A line for `systemctl status`. */
  status(status: string): void;
  /** Going down; stops the pings. */
  stopping(status: string): void;
  close(): void;
}

const AF_UNIX = 1;
const SOCK_DGRAM_CLOEXEC = 0o2000002;
const MSG_DONTWAIT_NOSIGNAL = 0x4040;
/** sizeof(sockaddr_un.sun_path) on Linux. */
const PATH_BYTES = 108;

function openLibrary() {
  const socket = lookUp("socket", { args: ["i32", "i32", "i32"], returns: "i32" });
  const sendto = lookUp("sendto", { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" });
  const close = lookUp("close", { args: ["i32"], returns: "i32" });
  return socket === null || sendto === null || close === null ? null : { socket, sendto, close };
}

/** struct sockaddr_un for a path or, when it begins with "@", an abstract name; null when it is neither or too long. */
export function unixAddress(name: string): Uint8Array | null {
  const isAbstract = name.startsWith("@");
  if (!isAbstract && !name.startsWith("/")) return null;
  const path = Buffer.from(name);
  const address = new Uint8Array(2 + path.length + (isAbstract ? 0 : 1)); // a path ends with a zero, an abstract name begins with one
  if (path.length < 2 || address.length - 2 > PATH_BYTES) return null;
  address[0] = AF_UNIX; // sa_family is little-endian on every platform we build for
  address.set(path, 2);
  if (isAbstract) address[2] = 0;
  return address;
}

const silent: Notifier = { ready() {}, status() {}, stopping() {}, close() {} };

class SocketNotifier implements Notifier {
  private readonly send: (text: string) => void;
  private readonly closeSocket: () => void;
  private readonly clock: Clock;
  private readonly pingEveryMs: number | null;
  private nextPing: Scheduled | null = null;

  constructor(send: (text: string) => void, closeSocket: () => void, clock: Clock, pingEveryMs: number | null) {
    this.send = send;
    this.closeSocket = closeSocket;
    this.clock = clock;
    this.pingEveryMs = pingEveryMs;
  }

  ready(status: string): void {
    this.send(`READY=1\nSTATUS=${oneLine(status)}`);
    this.ping();
  }

  status(status: string): void {
    this.send(`STATUS=${oneLine(status)}`);
  }

  stopping(status: string): void {
    this.send(`STOPPING=1\nSTATUS=${oneLine(status)}`);
    this.nextPing?.cancel();
    this.nextPing = null;
  }

  close(): void {
    this.nextPing?.cancel();
    this.nextPing = null;
    this.closeSocket();
  }

  /** From the loop itself: a loop that is stuck does not ping, and systemd restarts the broker. */
  private ping(): void {
    if (this.pingEveryMs === null) return;
    this.send("WATCHDOG=1");
    this.nextPing = this.clock.schedule(this.pingEveryMs, () => this.ping());
  }
}

const oneLine = (text: string): string => text.replaceAll("\n", " ");

/** Half of WATCHDOG_USEC in milliseconds, or null when there is no watchdog or it is meant for another process. */
export function watchdogPingMs(env: Readonly<Record<string, string | undefined>>, pid: number): number | null {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: forPid } = env;
  if (usec === undefined || !/^[1-9]\d{0,15}$/.test(usec)) return null;
  if (forPid !== undefined && forPid !== String(pid)) return null;
  return Math.max(1, Number(usec) / 2000);
}

/** A notifier for the supervisor that the environment names, or one that does nothing. Never throws; a message that cannot be sent is lost. */
export function openNotifier(env: Readonly<Record<string, string | undefined>>, pid: number, clock: Clock): Notifier {
  const name = env.NOTIFY_SOCKET;
  if (name === undefined || name === "" || process.platform !== "linux") return silent;
  const address = unixAddress(name);
  const library = address === null ? null : openLibrary();
  if (address === null || library === null) return silent;
  const fd = Number(library.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0));
  if (fd < 0) return silent;
  const send = (text: string): void => {
    const bytes = Buffer.from(text);
    library.sendto(fd, ptr(bytes), bytes.length, MSG_DONTWAIT_NOSIGNAL, ptr(address), address.length);
  };
  return new SocketNotifier(send, () => library.close(fd), clock, watchdogPingMs(env, pid));
}
