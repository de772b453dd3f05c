/** A thread that is asked things and answers in order: for work that would hold the loop. It is started by the first question. */

interface Question<A> {
  readonly resolve: (answer: A) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Where a thread's file is, given as its path below src/. In a compiled program all modules are one file, and other entry points lie
 * where they lay below the sources' common root: it must be one of scripts/build.mjs's entry points.
 */
export const urlOf = (path: string): URL => {
  const isCompiled = import.meta.url.startsWith("file:///$bunfs/");
  return new URL(isCompiled ? `./${path}` : `../${path}`, import.meta.url);
};

/** `Q` and `A` are what structured cloning takes; each thread file answers every message with one. */
export class Thread<Q, A> {
  private readonly path: string;
  private readonly waiting: Question<A>[] = [];
  private worker: Worker | null = null;

  constructor(path: string) {
    this.path = path;
  }

  /** Rejects if the thread cannot run, or ends; the next question tries again with a new one. `given` leaves the caller's hands. */
  ask(question: Q, given: ArrayBuffer[]): Promise<A> {
    return new Promise((resolve, reject) => {
      try {
        this.worker ??= this.start();
        this.worker.ref();
        this.worker.postMessage(question, given);
        this.waiting.push({ resolve, reject });
      } catch (error) {
        reject(error as Error);
      }
    });
  }

  /** Ends the thread; what it was asked is rejected. */
  close(): void {
    this.fail(this.worker, "the thread was closed");
  }

  private start(): Worker {
    const worker = new Worker(urlOf(this.path));
    worker.onmessage = (event: MessageEvent<A>) => {
      const asked = this.waiting.shift();
      if (this.waiting.length === 0) worker.unref();
      asked?.resolve(event.data);
    };
    worker.onerror = (event) => this.fail(worker, event.message);
    worker.addEventListener("close", () => this.fail(worker, "the thread ended"));
    return worker;
  }

  private fail(worker: Worker | null, why: string): void {
    if (worker === null || worker !== this.worker) return;
    this.worker = null;
    worker.terminate();
    for (const { reject } of this.waiting.splice(0)) reject(new Error(why));
  }
}
