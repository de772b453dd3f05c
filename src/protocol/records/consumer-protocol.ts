/** What consumers put into the opaque metadata and assignment of the classic group protocol, behind an int16 version. */
import { array, bytes, type DataOf, data, int32, string } from "../schema.ts";

/** JoinGroup's protocol metadata when the protocol type is "consumer". ownedPartitions since v1: KIP-429; generationId since v2: KIP-792; rackId since v3: KIP-881. */
export const ConsumerProtocolSubscription = data({
  name: "ConsumerProtocolSubscription",
  declared: "0-3",
  flexible: "none",
  fields: {
    topics: array(string()),
    userData: bytes().nullable().default(null),
    ownedPartitions: array({ topic: string(), partitions: array(int32()) }, "1+"),
    generationId: int32("2+").default(-1),
    rackId: string("3+").nullable().default(null),
  },
});
export type ConsumerProtocolSubscription = DataOf<typeof ConsumerProtocolSubscription>;

/** SyncGroup's assignment when the protocol type is "consumer". */
export const ConsumerProtocolAssignment = data({
  name: "ConsumerProtocolAssignment",
  declared: "0-3",
  flexible: "none",
  fields: {
    assignedPartitions: array({ topic: string(), partitions: array(int32()) }),
    userData: bytes().nullable().default(null),
  },
});
export type ConsumerProtocolAssignment = DataOf<typeof ConsumerProtocolAssignment>;
