/** For tests: records and replies of the consumer protocol as lines of text. */
import { errorName } from "../../protocol/errors.ts";
import type { Assignment, OwnedPartitions } from "./assignment.ts";
import type { ConsumerReply } from "./consumer-commands.ts";
import type { ConsumerRecord } from "./durable.ts";
import type { TopicsRig } from "./topics-rig.ts";

const inOrder = (parts: string[]): string => (parts.length === 0 ? "-" : parts.sort().join(" "));

/** "t=0,1 u=2" */
export const partitionsText = (assignment: Assignment, topics: TopicsRig): string =>
  inOrder([...assignment].map(([id, partitions]) => `${topics.nameOf(id)}=${partitions.join(",")}`));

/** "t=0@2,1@3": each with the epoch at which it was given. */
const ownedText = (owned: OwnedPartitions, topics: TopicsRig): string =>
  inOrder(
    [...owned].map(([id, epochs]) => {
      const each = [...epochs].sort(([a], [b]) => a - b).map(([partition, epoch]) => `${partition}@${epoch}`);
      return `${topics.nameOf(id)}=${each.join(",")}`;
    }),
  );

export function describeConsumerRecord(record: ConsumerRecord, topics: TopicsRig): string {
  const who = "memberId" in record ? ` ${record.memberId}` : "regex" in record ? ` ${record.regex}` : "";
  const what = `${record.kind}${who}`;
  if (record.value === null) return `${what} removed`;
  switch (record.kind) {
    case "consumer-group":
      return `${what} epoch=${record.value.epoch}`;
    case "consumer-partition-metadata":
      return what;
    case "consumer-member": {
      const { topicNames, topicRegex, instanceId, serverAssignor, rackId } = record.value;
      const rest = Object.entries({ regex: topicRegex || null, instance: instanceId, assignor: serverAssignor, rack: rackId });
      const said = rest.flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`]));
      return [what, `topics=${topicNames.join(",")}`, ...said].join(" ");
    }
    case "consumer-target":
      return `${what} epoch=${record.value.assignmentEpoch}${record.value.assignedMs === 0 ? " (no time)" : ""}`;
    case "consumer-target-member":
      return `${what} ${partitionsText(record.value, topics)}`;
    case "consumer-current": {
      const { memberEpoch, previousMemberEpoch, state, assigned, pendingRevocation } = record.value;
      const revoking = pendingRevocation.size === 0 ? "" : ` revoking ${ownedText(pendingRevocation, topics)}`;
      return `${what} ${previousMemberEpoch}->${memberEpoch} ${state} ${ownedText(assigned, topics)}${revoking}`;
    }
    case "consumer-regex":
      return `${what} is ${record.value.topics.join(",") || "-"}`;
  }
}

export function describeConsumerReply(reply: ConsumerReply, topics: TopicsRig): string {
  if (reply.errorCode !== 0) return `${reply.kind} ${errorName(reply.errorCode)}: ${reply.errorMessage}`;
  if (reply.kind === "consumer-heartbeat") {
    const { memberId, memberEpoch, assignment } = reply;
    return `beat ${memberId} epoch=${memberEpoch}${assignment === null ? "" : ` ${partitionsText(assignment, topics)}`}`;
  }
  const { state, epoch, assignmentEpoch, assignor, members } = reply.group!;
  const each = members.map(
    (member) =>
      `${member.memberId}@${member.memberEpoch}(${partitionsText(member.assignment, topics)} of ${partitionsText(member.target, topics)})`,
  );
  return `${state} epoch=${epoch}/${assignmentEpoch} ${assignor} ${each.join(" ")}`.trim();
}
