/**
 * ListPartitionReassignments: there are none on a single broker. Topics and partitions that do not exist are left out of the
 * answer without an error, as all others that are not being moved. Source: ReplicationControlManager.listPartitionReassignments.
 */
import { ListPartitionReassignments } from "../protocol/messages/46-list-partition-reassignments.ts";
import { handler } from "./handler.ts";

export const listPartitionReassignments = handler<typeof ListPartitionReassignments>({
  api: ListPartitionReassignments,
  served: "0",
  handle: (call) => call.reply({ errorCode: 0, errorMessage: null, topics: [] }),
  onError: (error) => ({ errorCode: error.code, errorMessage: error.message, topics: [] }),
});
