/** What a group of either protocol is to those who list, delete and expire groups. A name is that of one group at most. */
import type { ConsumerGroup } from "./consumer/consumer-group.ts";
import { tombstonesOf as tombstonesOfConsumer } from "./consumer/fence.ts";
import type { GroupRecord } from "./durable.ts";
import type { Group } from "./group.ts";
import { CONSUMER_PROTOCOL_TYPE, isSubscribed as isSubscribedClassic } from "./subscription.ts";

export type AnyGroup = Group | ConsumerGroup;

/** "" of a group that never had members. */
export const protocolTypeOf = (group: AnyGroup): string =>
  group.type === "consumer" ? CONSUMER_PROTOCOL_TYPE : (group.protocolType ?? "");

/** Nobody is in it, and nobody is about to come. */
export const isIdle = (group: AnyGroup): boolean =>
  group.state === "Empty" && (group.type === "consumer" || group.pending.size === 0);

export const isSubscribed = (group: AnyGroup, topic: string): boolean =>
  group.type === "consumer" ? group.subscriptions.topics.has(topic) : isSubscribedClassic(group, topic);

/** What removes a group without members. */
export const tombstonesOf = (group: AnyGroup): readonly GroupRecord[] =>
  group.type === "consumer" ? tombstonesOfConsumer(group) : [{ kind: "group", groupId: group.id, value: null }];
