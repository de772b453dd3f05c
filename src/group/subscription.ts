/**
 * Which topics a group of consumers reads, as far as the members' metadata say it: the one thing that is read out of what is opaque
 * otherwise. Source: ClassicGroup.computeSubscribedTopics, ConsumerProtocolSubscription.json.
 */
import { OutOfBounds, Reader } from "../bytes/reader.ts";
import type { Group } from "./group.ts";

/** The protocol type of clients that subscribe to topics. */
export const CONSUMER_PROTOCOL_TYPE = "consumer";

/**
 * The topics that members of this generation subscribe to. Null: nobody can know, because they are no consumers, have no
 * generation yet, or one of them says something that is no subscription.
 */
export function subscribedTopics(group: Group): ReadonlySet<string> | null {
  if (group.protocolType !== CONSUMER_PROTOCOL_TYPE) return null;
  if (group.protocolName === null) return group.generationId === 0 ? null : NOTHING; // the first members are about to join: nobody reads yet
  const topics = new Set<string>();
  for (const member of group.members.values()) {
    const metadata = member.metadata(group.protocolName);
    if (metadata === null || !addTopics(topics, metadata)) return null;
  }
  return topics;
}

const NOTHING: ReadonlySet<string> = new Set();

/** Of a group of consumers that cannot be read, every topic may be. */
export function isSubscribed(group: Group, topic: string): boolean {
  return subscribedTopics(group)?.has(topic) ?? group.protocolType === CONSUMER_PROTOCOL_TYPE;
}

/** All versions begin as version 0 does: int16 version, the topics, bytes of the assignor's own. False if this does not. */
function addTopics(topics: Set<string>, metadata: Uint8Array): boolean {
  try {
    const reader = new Reader(metadata);
    reader.int16();
    for (let left = reader.items(notNull(reader.int32()), 2); left > 0; left--) topics.add(reader.utf8(notNull(reader.int16())));
    const userDataBytes = reader.int32();
    if (userDataBytes > 0) reader.skip(userDataBytes);
    return true;
  } catch (error) {
    if (error instanceof OutOfBounds) return false;
    throw error;
  }
}

function notNull(length: number): number {
  if (length < 0) throw new OutOfBounds("null in a field that is not nullable");
  return length;
}
