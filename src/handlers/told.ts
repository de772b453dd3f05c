/** Bounds the error messages of one answer: a request that is wrong in ten thousand places must not become an answer many times its size. */

const ROOM_CHARACTERS = 256 * 1024;

/** The messages of one answer, until there is no room for more: then null, and clients fall back on the words for the code. */
export class Told {
  private left = ROOM_CHARACTERS;

  /** Null for "", too: Kafka says nothing where the code says it all. */
  message(text: string): string | null {
    if (text === "" || text.length > this.left) return null;
    this.left -= text.length;
    return text;
  }
}
