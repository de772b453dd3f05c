/** What is known of one partition from outside: what was sent to it, what was acknowledged, and what anybody saw. */
import type { History } from "./history.ts";

/** A record's value says where it comes from: "producer/partition/number padding". */
export const textOf = (producer: string, partition: string, number: number, padding: number): string =>
  `${producer}/${partition}/${number} ${"x".repeat(padding)}`;

const originOf = (text: string): { producer: string; number: number } => {
  const [producer, , rest] = text.split("/");
  return { producer: producer!, number: Number.parseInt(rest!, 10) };
};

/** Producers whose names begin so are idempotent. */
export const IDEMPOTENT = "i";

export class PartitionModel {
  readonly name: string;
  readonly topicId: string;
  readonly index: number;
  readonly sent = new Set<string>();
  /** By offset; set once, by whoever heard of it first. */
  readonly known: (string | undefined)[] = [];
  /** What is below this offset was acknowledged, or lies below something that was. */
  acknowledgedEnd = 0;
  /** The largest high watermark that anybody was told, and the end of what anybody read. */
  shownEnd = 0;
  private readonly offsets = new Map<string, number>();
  private readonly history: History;

  constructor(history: History, name: string, topicId: string, index: number) {
    this.history = history;
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

  /** All records, as read from the start up to the high watermark. */
  checkWhole(texts: readonly string[]): void {
    const { history, name } = this;
    history.check(
      "acknowledged records survive",
      texts.length >= this.acknowledgedEnd,
      () => `${name} ends at ${texts.length}; everything below ${this.acknowledgedEnd} was acknowledged`,
    );
    history.check(
      "what was shown stays as it was shown",
      texts.length >= this.shownEnd,
      () => `${name} ends at ${texts.length}; everything below ${this.shownEnd} was shown`,
    );
    const last = new Map<string, number>();
    for (const [offset, text] of texts.entries()) {
      const { producer, number } = originOf(text);
      const before = last.get(producer) ?? -1;
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
    const before = this.known[offset];
    history.check(
      check,
      before === undefined || before === text,
      () => `${name}@${offset} was ${shown(before)}, is ${shown(text)}`,
    );
    const other = this.offsets.get(text);
    history.check(
      "a batch is there once",
      other === undefined || other === offset,
      () => `${shown(text)} in ${name} at ${other} and ${offset}`,
    );
    this.known[offset] = text;
    this.offsets.set(text, offset);
  }
}

const shown = (text: string | undefined): string =>
  text === undefined ? "nothing" : JSON.stringify(text.trimEnd().slice(0, 40));
