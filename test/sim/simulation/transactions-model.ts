/** What is known of transactions from outside: what their producers asked for and were told, and what readers saw of them. */
import type { Told } from "../transactional-client.ts";
import type { History } from "./history.ts";

type Outcome = "committed" | "aborted";

/** Where a transaction writes. */
export interface Place {
  readonly name: string;
  readonly topicId: string;
  readonly index: number;
}

/** Records that were acknowledged. */
interface Written {
  readonly place: Place;
  readonly offset: number;
  readonly texts: readonly string[];
}

/** Where the log of a place begins, and what readers of committed data may see; null when it is gone. */
export type Bounds = (place: Place) => { readonly logStartOffset: number; readonly lastStableOffset: number } | null;

export class Transaction implements Told {
  readonly name: string;
  readonly timeoutMs: number;
  state: Told["state"] = "open";
  offset: number | null = null;
  /** The commit of `offset` was acknowledged. */
  isOffsetWritten = false;
  /** When anything of it was first sent: it cannot be out of time before that and its timeout. */
  beganMs: number | null = null;
  /** A later life of its producer has begun, or is about to: it may be ended by that. */
  isReplaced = false;
  readonly written: Written[] = [];
  /** What somebody saw; null when nobody did. */
  seen: Outcome | null = null;
  /** Texts that readers of committed data got. */
  readonly read = new Set<string>();

  constructor(name: string, timeoutMs: number) {
    this.name = name;
    this.timeoutMs = timeoutMs;
  }

  mayBeOver(nowMs: number): boolean {
    return this.isReplaced || (this.beganMs !== null && nowMs >= this.beganMs + this.timeoutMs);
  }

  get mayBeCommitted(): boolean {
    return this.state === "committing" || this.state === "committed";
  }
}

export class TransactionsModel {
  private readonly history: History;
  private readonly byText = new Map<string, Transaction>();
  private readonly all: Transaction[] = [];

  constructor(history: History) {
    this.history = history;
  }

  begun(transaction: Transaction): void {
    this.all.push(transaction);
  }

  /** It is about to send these. */
  sends(transaction: Transaction, texts: readonly string[]): void {
    for (const text of texts) this.byText.set(text, transaction);
  }

  /** A reader of committed data got a record, or was told to leave it out. */
  shown(text: string, outcome: Outcome, where: string): void {
    const transaction = this.byText.get(text);
    if (transaction === undefined) return; // nobody sent it: who reads it says so
    this.decided(transaction, outcome, where);
    if (outcome === "committed") transaction.read.add(text);
  }

  /** It shows somewhere how the transaction ended. */
  decided(transaction: Transaction, outcome: Outcome, where: string): void {
    const { history } = this;
    const { name, state, seen } = transaction;
    const is = (): string => `${name} is ${outcome} ${where}, ${state} for its producer, and was ${seen ?? "unknown"}`;
    history.check("a transaction is there whole or not at all", seen === null || seen === outcome, is);
    if (outcome === "committed") history.check("what is aborted or open is never seen", transaction.mayBeCommitted, is);
    else history.check("what is committed is seen", state !== "committed", is);
    transaction.seen = outcome;
  }

  /** The last stable offset stays below what is open. */
  checkOpen(nowMs: number, bounds: Bounds): void {
    for (const transaction of this.all) {
      if (transaction.state !== "open" || transaction.written.length === 0 || transaction.mayBeOver(nowMs)) continue;
      for (const { place, offset } of transaction.written) {
        const now = bounds(place);
        if (now === null) continue;
        this.history.check(
          "the last stable offset stays below what is open",
          now.lastStableOffset <= Math.max(offset, now.logStartOffset),
          () => `${place.name} is stable up to ${now.lastStableOffset}; ${transaction.name} wrote at ${offset}`,
        );
      }
    }
  }

  /** Everything was read that is left: what was committed was there. */
  checkWhole(bounds: Bounds): void {
    for (const { name, state, seen, written, read } of this.all) {
      if (state !== "committed" && seen !== "committed") continue;
      for (const { place, offset, texts } of written) {
        const start = bounds(place)?.logStartOffset ?? Number.POSITIVE_INFINITY;
        for (const [i, text] of texts.entries()) {
          const isThere = offset + i < start || read.has(text);
          const lacks = (): string => `${name} lacks what it wrote at ${place.name}@${offset + i}`;
          this.history.check("what is committed is seen", isThere, lacks);
        }
      }
    }
  }

  /** Records of transactions that were committed and not seen yet are there. */
  isUnseen(place: Place): boolean {
    return this.all.some(
      ({ state, seen, written, read }) =>
        (state === "committed" || seen === "committed") &&
        written.some((one) => one.place === place && one.texts.some((text) => !read.has(text))),
    );
  }
}
