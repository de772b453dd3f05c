/** ListGroups and DescribeGroups: what is told of groups to those who are not in them. Source: GroupMetadataManager.listGroups, describeGroups. */
import { type AnyGroup, protocolTypeOf } from "./any-group.ts";
import type { DescribeCommand, DescribedGroup, ListCommand, ListedGroup } from "./commands.ts";
import type { Group } from "./group.ts";
import { NO_ASSIGNMENT } from "./member.ts";
import type { Turn } from "./turn.ts";

export function listGroups(turn: Turn, groups: Iterable<AnyGroup>, command: ListCommand): void {
  const states = new Set(command.states.map((state) => state.toLowerCase().trim()));
  const types = new Set(command.types.map((type) => type.toLowerCase()));
  const listed: ListedGroup[] = [];
  for (const group of groups) {
    if (states.size > 0 && !states.has(group.state.toLowerCase())) continue;
    if (types.size > 0 && !types.has(group.type)) continue;
    listed.push({ groupId: group.id, protocolType: protocolTypeOf(group), state: group.state, type: group.type });
  }
  turn.replies.push({ kind: "list", ticket: command.ticket, groups: listed });
}

export function describeGroup(turn: Turn, group: AnyGroup | undefined, { ticket }: DescribeCommand): void {
  const isConsumerGroup = group?.type === "consumer";
  turn.replies.push({ kind: "describe", ticket, group: group?.type === "classic" ? described(group) : null, isConsumerGroup });
}

function described(group: Group): DescribedGroup {
  // Only once all have the same generation do they agree on a protocol.
  const protocolName = group.state === "Stable" ? (group.protocolName ?? "") : "";
  const members = [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    instanceId: member.instanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    metadata: protocolName === "" ? NO_ASSIGNMENT : (member.metadata(protocolName) ?? NO_ASSIGNMENT),
    assignment: member.assignment,
  }));
  return { state: group.state, protocolType: group.protocolType ?? "", protocolName, members };
}
