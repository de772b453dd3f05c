/** A thread that is talked with, where thread.ts has one that answers questions. */
import { urlOf } from "./thread.ts";

/** A running thread. Messages are copied, but for shared buffers. */
export interface WorkerThread {
  post(message: unknown): void;
  /** Ends it, wherever it is. */
  end(): void;
}

export interface ThreadEars {
  onMessage(message: unknown): void;
  /** It could not be started, or died of an uncaught error: nothing more will come. */
  onBroken(reason: string): void;
}

/** Starts `file`, a path below src/ such as "log/cleaner-worker.ts". It does not keep the process alive. */
export function startThread(file: string, ears: ThreadEars): WorkerThread {
  const worker = new Worker(urlOf(file));
  worker.unref();
  worker.onmessage = (event: MessageEvent<unknown>) => ears.onMessage(event.data);
  worker.onerror = (event: ErrorEvent) => ears.onBroken(event.message);
  return { post: (message) => worker.postMessage(message), end: () => void worker.terminate() };
}

declare const self: {
  onmessage: ((event: { data: unknown }) => void) | null;
  postMessage(message: unknown): void;
};

/** In a thread: hears what is posted to it. Returns how to answer. */
export function listenInThread(hear: (message: unknown) => void): (message: unknown) => void {
  self.onmessage = ({ data }) => hear(data);
  return (message) => self.postMessage(message);
}
