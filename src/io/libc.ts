/**
 * The few C library calls that Bun has no binding for, through bun:ffi: flock, preadv2, cachestat, posix_fadvise, sendfile, setsockopt, syncfs. Every call may be missing (another
 * platform, another C library, FFI forbidden by the system); each caller has a way to go on without it.
 */
import { dlopen, type Pointer, ptr, read } from "bun:ffi";
import { release } from "node:os";

const LIBRARIES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"],
  darwin: ["libSystem.B.dylib"],
};

type Declaration = { readonly args: readonly string[]; readonly returns: string };

/** The C function of that name, or null where it cannot be had. */
export function lookUp(name: string, declaration: Declaration): ((...args: unknown[]) => unknown) | null {
  for (const library of LIBRARIES[process.platform] ?? []) {
    try {
      const { symbols } = dlopen(library, { [name]: declaration } as unknown as Parameters<typeof dlopen>[1]);
      const found = symbols[name];
      if (found !== undefined) return found as unknown as (...args: unknown[]) => unknown;
    } catch {
      // no such library, no such symbol, or no FFI at all: try the next
    }
  }
  return null;
}

/** Looks up on first use, once. */
function lazily<T>(make: () => T): () => T {
  let made: { value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

const LOCK_EX_NB = 2 | 4;

const flockSymbol = lazily(() => lookUp("flock", { args: ["i32", "i32"], returns: "i32" }));

/** Takes an exclusive advisory lock on an open file without waiting: "held" by another open file, or "unknown" where there is no flock. */
export function tryFlock(fd: number): "taken" | "held" | "unknown" {
  const flock = flockSymbol();
  if (flock === null) return "unknown";
  return flock(fd, LOCK_EX_NB) === 0 ? "taken" : "held";
}

const RWF_NOWAIT = 8;

const preadv2Symbol = lazily(() =>
  process.platform === "linux"
    ? lookUp("preadv2", { args: ["i32", "ptr", "i32", "i64_fast", "i32"], returns: "i64_fast" })
    : null,
);

/** struct iovec { void *base; size_t length }. One, because calls are synchronous. */
const iovecBytes = new ArrayBuffer(16);
const iovec = new DataView(iovecBytes);
const iovecView = new Uint8Array(iovecBytes);

/** Reads what is in the page cache (preadv2 with RWF_NOWAIT): the number of bytes, or -1 if it would block, fails, or is not to be had. */
export function readCached(fd: number, into: Uint8Array, at: number): number {
  const preadv2 = preadv2Symbol();
  if (preadv2 === null || into.length === 0) return -1;
  iovec.setBigUint64(0, BigInt(ptr(into)), true);
  iovec.setBigUint64(8, BigInt(into.length), true);
  return Number(preadv2(fd, ptr(iovecView), 1, at, RWF_NOWAIT));
}

/** The same number everywhere; the call has no name in C libraries yet. */
const SYS_CACHESTAT = 451;
const PAGE_BYTES = 4096;

const syscallSymbol = lazily(() =>
  process.platform === "linux"
    ? lookUp("syscall", { args: ["i64_fast", "i64_fast", "ptr", "ptr", "i64_fast"], returns: "i64_fast" })
    : null,
);

/** struct cachestat_range { u64 offset, length } */
const rangeBytes = new ArrayBuffer(16);
const range = new DataView(rangeBytes);
const rangeView = new Uint8Array(rangeBytes);
/** struct cachestat { u64 cached, dirty, writeback, evicted, recently_evicted } */
const statBytes = new ArrayBuffer(40);
const stat = new DataView(statBytes);
const statView = new Uint8Array(statBytes);

/** Whether all of a part of a file is in the page cache, so far as can be known: Linux 6.5 and newer tell, with pages of 4 KiB. */
export function isCached(fd: number, at: number, length: number): boolean {
  const syscall = syscallSymbol();
  if (syscall === null) return false;
  range.setBigUint64(0, BigInt(at), true);
  range.setBigUint64(8, BigInt(length), true);
  if (Number(syscall(SYS_CACHESTAT, fd, ptr(rangeView), ptr(statView), 0)) !== 0) return false;
  const pages = Math.floor((at + length - 1) / PAGE_BYTES) - Math.floor(at / PAGE_BYTES) + 1;
  return Number(stat.getBigUint64(0, true)) >= pages;
}

const DONTNEED = 4;

const fadviseSymbol = lazily(() =>
  process.platform === "linux" ? lookUp("posix_fadvise", { args: ["i32", "i64_fast", "i64_fast", "i32"], returns: "i32" }) : null,
);

/** Lets the page cache forget whatever of an open file does not wait to be written. False if that cannot be done. */
export const dropFromCache = (fd: number): boolean => fadviseSymbol()?.(fd, 0, 0, DONTNEED) === 0;

const sendfileSymbol = lazily(() =>
  process.platform === "linux" ? lookUp("sendfile", { args: ["i32", "i32", "ptr", "i64_fast"], returns: "i64_fast" }) : null,
);

const errnoLocation = lazily(() => lookUp("__errno_location", { args: [], returns: "ptr" })?.() as Pointer | null | undefined);
const EAGAIN = 11;

const positionBytes = new ArrayBuffer(8);
const position = new DataView(positionBytes);
const positionView = new Uint8Array(positionBytes);

/**
 * Sends a part of a file to a socket that does not block, without a copy: how many bytes it took, 0 when it takes none now, -1 when that
 * cannot be done. What is not in the page cache is read from the disk meanwhile.
 */
export function sendFile(socket: number, fd: number, at: number, length: number): number {
  const sendfile = sendfileSymbol();
  const errno = errnoLocation();
  if (sendfile === null || errno === null || errno === undefined) return -1;
  position.setBigInt64(0, BigInt(at), true);
  const sent = Number(sendfile(socket, fd, ptr(positionView), length));
  if (sent >= 0) return sent === 0 ? -1 : sent; // 0: the file has lost its end
  return read.i32(errno) === EAGAIN ? 0 : -1;
}

const setsockoptSymbol = lazily(() => lookUp("setsockopt", { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" }));

/** SOL_SOCKET and SO_SNDBUF. */
const SEND_BUFFER = process.platform === "linux" ? { level: 1, name: 7 } : { level: 0xffff, name: 0x1001 };

const valueBytes = new ArrayBuffer(4);
const value = new DataView(valueBytes);
const valueView = new Uint8Array(valueBytes);

/** Fixes the size of a socket's send buffer, which the system otherwise fits to the traffic. False if that cannot be done. */
export function setSendBuffer(socket: number, bytes: number): boolean {
  value.setInt32(0, bytes, true);
  return setsockoptSymbol()?.(socket, SEND_BUFFER.level, SEND_BUFFER.name, ptr(valueView), 4) === 0;
}

const syncfsSymbol = lazily(() => (process.platform === "linux" ? lookUp("syncfs", { args: ["i32"], returns: "i32" }) : null));

/** syncfs reports write-back errors since Linux 5.8; before that its success means nothing. */
export function kernelReportsSyncfsErrors(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split(".").map(Number);
  return major > 5 || (major === 5 && minor >= 8);
}

/** Whether `syncfs` below can be called and believed. */
export const syncfsWorks = lazily(
  () => process.platform === "linux" && kernelReportsSyncfsErrors(release()) && syncfsSymbol() !== null,
);

/** Blocks until the file system of the open file `fd` is on the disk; false if any write-back failed since `fd` was opened. */
export const syncfs = (fd: number): boolean => syncfsSymbol()?.(fd) === 0;

/** setpriority's PRIO_PROCESS; on Linux who = 0 is the calling thread alone. */
const PRIO_PROCESS = 0;

/** Lets other threads of the machine go first. Only where that can be said of one thread. */
export function yieldToOtherThreads(niceness: number): void {
  if (process.platform !== "linux") return;
  lookUp("setpriority", { args: ["i32", "u32", "i32"], returns: "i32" })?.(PRIO_PROCESS, 0, niceness);
}
