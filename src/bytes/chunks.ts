/** Bytes in several pieces, of which some may still lie in a file: what answers are made of. */

/**
 * Bytes that lie in a file until they are sent, so that an answer costs no memory while it waits for its client. It has one owner at
 * a time, who must release it; whoever takes the chunks of an answer takes them over.
 */
export interface StoredBytes {
  readonly byteLength: number;
  /** Reads into `into` from byte `at` of these on, if that is in the page cache: how many bytes, or -1 (or too few) when it would block. */
  readHot(into: Uint8Array, at: number): number;
  /** Sends `length` of these from byte `at` on to a socket, by its descriptor (io/net.ts), without reading them: see DiskFile.sendHot. */
  sendHot(socket: number, at: number, length: number): number;
  /** As `readHot`, in a thread pool. Rejects when the disk fails; fewer bytes than asked for: the file has lost them. */
  readCold(into: Uint8Array, at: number): Promise<number>;
  /** The owner is done. Called once. */
  release(): void;
}

export type Chunk = Uint8Array | StoredBytes;

export const isStored = (chunk: Chunk): chunk is StoredBytes => !(chunk instanceof Uint8Array);

/** For the owner of chunks that will not be sent. */
export function releaseChunks(chunks: readonly Chunk[]): void {
  for (const chunk of chunks) if (isStored(chunk)) chunk.release();
}

/** The pieces as one buffer: a view when there is one piece, a copy otherwise. */
export function oneBuffer(chunks: readonly Uint8Array[]): Buffer {
  if (chunks.length !== 1) return Buffer.concat(chunks);
  const [only] = chunks as [Uint8Array];
  return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
}
