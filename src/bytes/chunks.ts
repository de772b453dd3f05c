/** Bytes that came in several pieces, for those who must see them as one. */

/** The pieces as one buffer: a view when there is one piece, a copy otherwise. */
export function oneBuffer(chunks: readonly Uint8Array[]): Buffer {
  if (chunks.length !== 1) return Buffer.concat(chunks);
  const [only] = chunks as [Uint8Array];
  return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
}
