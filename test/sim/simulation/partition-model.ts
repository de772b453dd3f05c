/** What is known of one partition from outside: what was sent to it, what was acknowledged, and what anybody saw. */
import type { History } from "./history.ts";

/** A record's value says where it comes from: "producer/partition/number padding". */
export const textOf = (producer: string, partition: string, number: number, padding: number): string =>
  `${producer}/${partition}/${number} ${"x".repeat(padding)}`;

const originOf = (text: string): { producer: string; number: number } => {
  const [producer, , rest] = text.split("/");
  return { producer: producer!, number: Number.parseInt(rest!, 10) };
};

/** What stands for a marker among the texts of a partition. */
const MARKER = "marker";

/** Producers whose names begin so are idempotent. */
export const IDEMPOTENT = "i";

/** What a topic's configs allow to be deleted. */
export interface Retention {
  /** Null: nothing goes by its age. */
  readonly ms: number | null;
  /** Null: nothing goes by size. */
  readonly bytes: number | null;
}

export class PartitionModel {
  readonly name: string;
  readonly topicId: string;
  readonly index: number;
  /** What was sent, and when first: its timestamp is no older. */
  readonly sent = new Map<string, number>();
  /** By offset; set once, by whoever heard of it first. */
  readonly known: (string | undefined)[] = [];
  /** What is below this offset was acknowledged, or lies below something that was. */
  acknowledgedEnd = 0;
  /** The largest high watermark that anybody was told, and the end of what anybody read. */
  shownEnd = 0;
  /** The largest last stable offset that anybody was told. */
  shownStableEnd = 0;
  /** The largest log start that anybody was told. */
  shownStart = 0;
  /** Up to here somebody has asked to delete records. */
  deletionSentUpTo = 0;
  /** Of the topic; null: nothing goes by its age. */
  readonly retention: Retention;
  private readonly offsets = new Map<string, number>();
  private readonly history: History;

  constructor(history: History, name: string, topicId: string, index: number, retention: Retention) {
    this.history = history;
    this.retention = retention;
    this.name = name;
    this.topicId = topicId;
    this.index = index;
  }

  /** A produce was acknowledged: its records have these offsets from now on. */
  acknowledge(baseOffset: number, texts: readonly string[]): void {
    texts.forEach((text, i) => {
      this.learn("acknowledged records survive", baseOffset + i, text);
    });
    this.acknowledgedEnd = Math.max(this.acknowledgedEnd, baseOffset + texts.length);
  }

  /** A reader got this record. */
  read(offset: number, text: string): void {
    this.history.check("only what was sent is read", this.sent.has(text), () => `${this.name}@${offset}: ${shown(text)}`);
    this.learn("what was shown stays as it was shown", offset, text);
    this.shownEnd = Math.max(this.shownEnd, offset + 1);
  }

  /** Somebody was told the high watermark. `floor`: what `shownEnd` was when the question was sent. */
  showHighWatermark(highWatermark: number, floor: number): void {
    this.history.check(
      "the high watermark never goes back",
      highWatermark >= floor,
      () => `${this.name}: ${highWatermark} after ${floor}`,
    );
    this.shownEnd = Math.max(this.shownEnd, highWatermark);
  }

  /** A reader got the marker that ends a transaction. A transaction may have two in a partition, after a crash. */
  readMarker(offset: number): void {
    this.know("what was shown stays as it was shown", offset, MARKER);
    this.shownEnd = Math.max(this.shownEnd, offset + 1);
  }

  /** Somebody was told up to where readers of committed data may read. `floor`: what `shownStableEnd` was when the question was sent. */
  showStable(lastStableOffset: number, floor: number): void {
    this.history.check(
      "the last stable offset never goes back",
      lastStableOffset >= floor,
      () => `${this.name}: ${lastStableOffset} after ${floor}`,
    );
    this.shownStableEnd = Math.max(this.shownStableEnd, lastStableOffset);
  }

  /** Somebody was told where the log begins. `floor`: what `shownStart` was when the question was sent. */
  showStart(logStartOffset: number, floor: number): void {
    const { history, name } = this;
    history.check("the log start never goes back", logStartOffset >= floor, () => `${name}: ${logStartOffset} after ${floor}`);
    for (let offset = Math.max(this.shownStart, this.deletionSentUpTo); offset < logStartOffset; offset++)
      history.check("the log start moves for a reason", this.mayBeGone(offset), () => `${name} begins at ${logStartOffset}`);
    this.shownStart = Math.max(this.shownStart, logStartOffset);
  }

  /** Nobody asked for it. */
  private mayBeGone(offset: number): boolean {
    const { ms, bytes } = this.retention;
    if (bytes !== null) return true;
    const sentMs = this.sent.get(this.known[offset] ?? "") ?? 0;
    return ms !== null && this.history.nowMs - sentMs > ms;
  }

  /** All records, as read from the log's start up to the high watermark. */
  checkWhole(start: number, texts: readonly string[]): void {
    const { history, name } = this;
    const end = start + texts.length;
    history.check(
      "acknowledged records survive",
      end >= this.acknowledgedEnd,
      () => `${name} ends at ${end}; everything below ${this.acknowledgedEnd} was acknowledged`,
    );
    history.check(
      "what was shown stays as it was shown",
      end >= this.shownEnd,
      () => `${name} ends at ${end}; everything below ${this.shownEnd} was shown`,
    );
    const last = new Map<string, number>();
    for (const [i, text] of texts.entries()) {
      if (text === MARKER) continue;
      const offset = start + i;
      const { producer, number } = originOf(text);
      const before = last.get(producer) ?? (start === 0 ? -1 : number - 1); // what was deleted, was in order too
      history.check("the order of each producer is kept", number > before, () => `${name}@${offset}: ${number} after ${before}`);
      if (producer.startsWith(IDEMPOTENT))
        history.check(
          "an idempotent producer leaves no gap",
          number <= before + 1,
          () => `${name}@${offset}: ${number} after ${before}`,
        );
      last.set(producer, number);
    }
  }

  private learn(
    check: "acknowledged records survive" | "what was shown stays as it was shown",
    offset: number,
    text: string,
  ): void {
    const { history, name } = this;
    this.know(check, offset, text);
    const other = this.offsets.get(text);
    history.check(
      "a batch is there once",
      other === undefined || other === offset,
      () => `${shown(text)} in ${name} at ${other} and ${offset}`,
    );
    this.offsets.set(text, offset);
  }

  private know(
    check: "acknowledged records survive" | "what was shown stays as it was shown",
    offset: number,
    text: string,
  ): void {
    const { history, name } = this;
    const before = this.known[offset];
    history.check(
      check,
      before === undefined || before === text,
      () => `${name}@${offset} was ${shown(before)}, is ${shown(text)}`,
    );
    this.known[offset] = text;
  }
}

const shown = (text: string | undefined): string =>
  text === undefined ? "nothing" : JSON.stringify(text.trimEnd().slice(0, 40));
