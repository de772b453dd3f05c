/**
 * Who watches a store: hands every shown transaction to every watcher in order, keeps a bounded tail of them for watchers that
 * begin a little late, and tells a watcher that fell behind to take a snapshot again.
 */
import type { KVEvent, Rev, WatchItem } from "./store.ts";

/** At most so many transactions wait for one slow watcher. */
const MAX_WAITING_TXNS = 1024;
/** What is kept for a watcher that begins in the past. */
const HISTORY_TXNS = 128;
const HISTORY_BYTES = 4 * 1024 * 1024;

interface Shown {
  readonly rev: Rev;
  readonly events: readonly KVEvent[];
  readonly bytes: number;
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
    if (this.queue.length >= MAX_WAITING_TXNS) {
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
  private historyBytes = 0;
  /** The history holds every shown transaction later than this. */
  private historyAfter: Rev;
  private closed = false;

  /** `rev`: what has been shown before, which no history is kept of. */
  constructor(rev: Rev) {
    this.historyAfter = rev;
  }

  /** The next transaction, in the order of revisions. */
  show(rev: Rev, events: readonly KVEvent[]): void {
    const shown = { rev, events, bytes: events.reduce((sum, event) => sum + bytesOfEvent(event), 0) };
    this.history.push(shown);
    this.historyBytes += shown.bytes;
    while (this.history.length > HISTORY_TXNS || this.historyBytes > HISTORY_BYTES) this.forgetOldest();
    for (const watcher of this.watchers) watcher.offer(shown);
  }

  private forgetOldest(): void {
    const { rev, bytes } = this.history.shift()!;
    this.historyBytes -= bytes;
    this.historyAfter = rev;
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

const bytesOfEvent = (event: KVEvent): number => (event.type === "put" ? event.kv.value.length : 0);
const keyOfEvent = (event: KVEvent): string => (event.type === "put" ? event.kv.key : event.key);
