/** The list of declared APIs, by key. */
import type { AnyApi } from "../schema.ts";
import { Produce } from "./00-produce.ts";
import { Fetch } from "./01-fetch.ts";
import { ListOffsets } from "./02-list-offsets.ts";
import { Metadata } from "./03-metadata.ts";
import { OffsetCommit } from "./08-offset-commit.ts";
import { OffsetFetch } from "./09-offset-fetch.ts";
import { FindCoordinator } from "./10-find-coordinator.ts";
import { JoinGroup } from "./11-join-group.ts";
import { Heartbeat } from "./12-heartbeat.ts";
import { LeaveGroup } from "./13-leave-group.ts";
import { SyncGroup } from "./14-sync-group.ts";
import { ApiVersions } from "./18-api-versions.ts";
import { CreateTopics } from "./19-create-topics.ts";
import { DeleteTopics } from "./20-delete-topics.ts";
import { InitProducerId } from "./22-init-producer-id.ts";
import { OffsetForLeaderEpoch } from "./23-offset-for-leader-epoch.ts";
import { DescribeConfigs } from "./32-describe-configs.ts";
import { ListPartitionReassignments } from "./46-list-partition-reassignments.ts";
import { DescribeCluster } from "./60-describe-cluster.ts";
import { DescribeTopicPartitions } from "./75-describe-topic-partitions.ts";

export const APIS: readonly AnyApi[] = [
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  InitProducerId,
  OffsetForLeaderEpoch,
  DescribeConfigs,
  ListPartitionReassignments,
  DescribeCluster,
  DescribeTopicPartitions,
];

const apiByKey = new Map(APIS.map((api) => [api.key, api]));

/** The declaration of an API key; undefined for one that is unknown here. */
export const findApi = (key: number): AnyApi | undefined => apiByKey.get(key);
