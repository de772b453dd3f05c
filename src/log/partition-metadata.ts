/** The file that says whose partition a directory holds. Source: PartitionMetadataFile (KIP-516). */

const TOPIC_ID = /^[A-Za-z0-9_-]{22}$/;

/** The file's bytes, as Kafka writes them. */
export const encodePartitionMetadata = (topicId: string): Buffer => Buffer.from(`version: 0\ntopic_id: ${topicId}`, "latin1");

/** The topic id in a file's bytes, or null if they are not whole. Kafka reads any version from 0 on. */
export function decodePartitionMetadata(bytes: Uint8Array): string | null {
  const [version, topicId] = Buffer.from(bytes).toString("latin1").split(/\r?\n/);
  if (!/^version:\s+\d+$/.test(version ?? "")) return null;
  const id = /^topic_id:\s+(\S+)$/.exec(topicId ?? "")?.[1];
  return id !== undefined && TOPIC_ID.test(id) ? id : null;
}
