/** The thread that blocks in syncfs so that the broker's loop does not. It gets descriptors from real-disk-sync.ts and answers each in order. */
import { syncfs } from "./libc.ts";

/** What the loop asks for: the file system of an open descriptor. */
export interface SyncRequest {
  readonly id: number;
  readonly fd: number;
}

export interface SyncAnswer {
  readonly id: number;
  readonly synced: boolean;
}

declare const self: {
  onmessage: ((event: { data: SyncRequest }) => void) | null;
  postMessage(answer: SyncAnswer): void;
};

self.onmessage = ({ data }) => self.postMessage({ id: data.id, synced: syncfs(data.fd) });
