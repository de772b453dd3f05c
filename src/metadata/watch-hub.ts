/**
 * Who watches a store: hands every shown transaction to every watcher in order, keeps a bounded tail of them for watchers that
 * begin a little late, and tells a watcher that fell behind to take a snapshot again.
 */
import type { KVEvent, Rev, WatchItem } from "./store.ts";

/** Shown transactions kept for a watcher that begins in the past, and at most so many wait for one slow watcher. */
const HISTORY_TXNS = 1024;

interface Shown {
  readonly rev: Rev;
  readonly events: readonly KVEvent[];
}

class Watcher {
  private readonly prefix: string;
  private readonly queue: WatchItem[] = [];
  private wake: (() => void) | null = null;
  private ended = false;

  constructor(prefix: string) {
    this.prefix = prefix;
  }

  offer(shown: Shown): void {
    if (this.ended) return;
    const events = this.prefix === "" ? shown.events : shown.events.filter((event) => keyOfEvent(event).startsWith(this.prefix));
    if (events.length === 0) return;
    if (this.queue.length >= HISTORY_TXNS) {
      this.resync();
    } else {
      this.queue.push({ type: "events", rev: shown.rev, events });
      this.wake?.();
    }
  }

  /** What waits is worthless once something is missing. */
  resync(): void {
    this.queue.length = 0;
    this.queue.push({ type: "resync" });
    this.end();
  }

  /** What waits is still delivered. */
  end(): void {
    this.ended = true;
    this.wake?.();
  }

  async *items(done: () => void): AsyncGenerator<WatchItem, void> {
    try {
      for (;;) {
        const item = this.queue.shift();
        if (item !== undefined) yield item;
        else if (this.ended) return;
        else await this.woken();
      }
    } finally {
      this.ended = true;
      done();
    }
  }

  private woken(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = () => {
        this.wake = null;
        resolve();
      };
    });
  }
}

export class WatchHub {
  private readonly watchers = new Set<Watcher>();
  private readonly history: Shown[] = [];
  /** The history holds every shown transaction later than this. */
  private historyAfter: Rev;
  private closed = false;

  /** `rev`: what has been shown before, which no history is kept of. */
  constructor(rev: Rev) {
    this.historyAfter = rev;
  }

  /** The next transaction, in the order of revisions. */
  show(rev: Rev, events: readonly KVEvent[]): void {
    const shown = { rev, events };
    this.history.push(shown);
    if (this.history.length > HISTORY_TXNS) this.historyAfter = this.history.shift()!.rev;
    for (const watcher of this.watchers) watcher.offer(shown);
  }

  /** Begins now, not when it is first pulled. */
  watch(prefix: string, after: Rev): AsyncIterable<WatchItem> {
    const watcher = new Watcher(prefix);
    if (this.closed) watcher.end();
    else if (after < this.historyAfter) watcher.resync();
    else {
      for (const shown of this.history) if (shown.rev > after) watcher.offer(shown);
      this.watchers.add(watcher);
    }
    return watcher.items(() => this.watchers.delete(watcher));
  }

  /** Ends every watch once it has delivered what waits. */
  close(): void {
    this.closed = true;
    for (const watcher of this.watchers) watcher.end();
    this.watchers.clear();
  }
}

const keyOfEvent = (event: KVEvent): string => (event.type === "put" ? event.kv.key : event.key);
