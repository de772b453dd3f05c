/** syncfs without blocking the loop: owns the worker thread and one long-lived descriptor per directory that is synced through. */
import { openSync } from "node:fs";
import { DiskError } from "./disk.ts";
import { syncfs } from "./libc.ts";
import type { SyncAnswer, SyncRequest } from "./sync-worker.ts";

interface Waiting {
  readonly fd: number;
  readonly path: string;
  readonly resolve: () => void;
  readonly reject: (error: DiskError) => void;
}

/** The kernel reports a write-back failure to every descriptor that was open when it happened: so keep ours open. */
const descriptors = new Map<string, number>();
const waiting = new Map<number, Waiting>();
let worker: Worker | null = null;
let workerIsBroken = false;
let nextId = 0;

function settle(id: number, synced: boolean): void {
  const asked = waiting.get(id);
  if (asked === undefined) return;
  waiting.delete(id);
  if (waiting.size === 0) worker?.unref();
  if (synced) asked.resolve();
  else asked.reject(new DiskError("syncfs", asked.path, "EIO", "a write-back failed: what was written is in an unknown state"));
}

/** A thread that cannot run must not cost durability: the same calls then block the loop. */
function onBrokenWorker(): void {
  workerIsBroken = true;
  worker = null;
  for (const [id, { fd }] of [...waiting]) settle(id, syncfs(fd));
}

/** In a compiled program all modules are one file, and other entry points lie where they lay below the sources' common root. */
const workerUrl = (): URL => {
  const isCompiled = import.meta.url.startsWith("file:///$bunfs/");
  return new URL(isCompiled ? "./io/sync-worker.ts" : "./sync-worker.ts", import.meta.url);
};

function startWorker(): Worker {
  const started = new Worker(workerUrl());
  started.onmessage = (event: MessageEvent<SyncAnswer>) => settle(event.data.id, event.data.synced);
  started.onerror = onBrokenWorker;
  return started;
}

function descriptorOf(path: string): number {
  let fd = descriptors.get(path);
  if (fd === undefined) {
    fd = openSync(path, "r");
    descriptors.set(path, fd);
  }
  return fd;
}

/** syncfs of the file system that holds the directory `path`, in a thread. Call only where `syncfsWorks()`. */
export function syncFileSystemInThread(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const id = nextId++;
    const fd = descriptorOf(path);
    waiting.set(id, { fd, path, resolve, reject });
    if (workerIsBroken) {
      settle(id, syncfs(fd));
      return;
    }
    try {
      worker ??= startWorker();
      worker.ref();
      worker.postMessage({ id, fd } satisfies SyncRequest);
    } catch {
      onBrokenWorker();
    }
  });
}
