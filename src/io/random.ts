/** Randomness, injected so that a simulation can seed it. */
import { randomFillSync } from "node:crypto";

export interface Random {
  /** Fresh bytes owned by the caller. */
  bytes(count: number): Uint8Array;
  /** A whole number in [0, below). */
  int(below: number): number;
}

export const realRandom: Random = {
  bytes: (count) => randomFillSync(new Uint8Array(count)),
  int: (below) => Math.floor(Math.random() * below),
};

/** A random (version 4) UUID in Kafka's text form: 22 characters of URL-safe base64. Never one that starts with "-", as in Kafka's Uuid.randomUuid. */
export function randomUuid(random: Random): string {
  for (;;) {
    const bytes = random.bytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("base64url");
    if (!text.startsWith("-")) return text;
  }
}
