/**
 * Which operations a client may do (KIP-430), as bit fields of Kafka's AclOperation codes. There are no ACLs yet, so everything
 * that a resource knows is allowed. Source: AclEntry.supportedOperations, AuthHelper.authorizedOperations.
 */

/** The client did not ask. */
export const OPERATIONS_NOT_REQUESTED = -2_147_483_648;

const READ = 3;
const WRITE = 4;
const CREATE = 5;
const DELETE = 6;
const ALTER = 7;
const DESCRIBE = 8;
const CLUSTER_ACTION = 9;
const DESCRIBE_CONFIGS = 10;
const ALTER_CONFIGS = 11;
const IDEMPOTENT_WRITE = 12;

const bits = (...operations: number[]): number => operations.reduce((field, operation) => field | (1 << operation), 0);

export const TOPIC_OPERATIONS = bits(READ, WRITE, CREATE, DESCRIBE, DELETE, ALTER, DESCRIBE_CONFIGS, ALTER_CONFIGS);
export const GROUP_OPERATIONS = bits(READ, DESCRIBE, DELETE, ALTER_CONFIGS, DESCRIBE_CONFIGS);
export const CLUSTER_OPERATIONS = bits(
  CREATE,
  CLUSTER_ACTION,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
  IDEMPOTENT_WRITE,
  ALTER,
  DESCRIBE,
);
