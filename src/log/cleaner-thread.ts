/** Cleans logs in a thread of its own, which lives while there is something to clean: its memory is given back afterwards. */
import { startThread, type WorkerThread } from "../io/worker-thread.ts";
import type { CleanJob, CleanStats } from "./clean-job.ts";
import type { SwapIn } from "./clean-log.ts";
import type { CleanerRunner } from "./cleaner.ts";
import { type FromCleaner, plainError, revivedError } from "./cleaner-messages.ts";

interface Running {
  readonly swapIn: SwapIn;
  readonly stop: Int32Array<SharedArrayBuffer>;
  readonly resolve: (stats: CleanStats) => void;
  readonly reject: (error: Error) => void;
}

export class CleanerThread implements CleanerRunner {
  private thread: WorkerThread | null = null;
  private running: Running | null = null;

  run(job: CleanJob, swapIn: SwapIn): Promise<CleanStats> {
    return new Promise((resolve, reject) => {
      const stop = new Int32Array(new SharedArrayBuffer(4));
      this.running = { swapIn, stop, resolve, reject };
      this.thread ??= startThread("log/cleaner-worker.ts", {
        onMessage: (message) => this.hear(message as FromCleaner),
        onBroken: (reason) => this.broken(reason),
      });
      this.thread.post({ kind: "job", job, stop });
    });
  }

  stop(): void {
    if (this.running !== null) Atomics.store(this.running.stop, 0, 1);
  }

  rest(): void {
    this.thread?.end();
    this.thread = null;
  }

  private hear(message: FromCleaner): void {
    const { running } = this;
    if (running === null) return;
    if (message.kind === "group") {
      running.swapIn(message.group).then(
        () => this.thread?.post({ kind: "swapped", error: null }),
        (error: unknown) => this.thread?.post({ kind: "swapped", error: plainError(error) }),
      );
      return;
    }
    this.running = null;
    if (message.kind === "done") running.resolve(message.stats);
    else running.reject(revivedError(message.error));
  }

  private broken(reason: string): void {
    this.rest();
    this.running?.reject(new Error(`the thread that compacts logs has died: ${reason}`));
    this.running = null;
  }
}
