/** What a partition does with its log's news. The log is a bare object: what counts here is who is told what, and when. */
import { describe, expect, test } from "bun:test";
import { LeaderEpochs } from "../log/leader-epochs.ts";
import type { Log } from "../log/log.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Partition } from "./partition.ts";

function make(isLeader = true) {
  const log = {
    name: "t-0",
    logStartOffset: 0,
    logEndOffset: 0,
    durableEndOffset: 0,
    durableEndBytes: 0,
    firstOpenTransactionOffset: null as number | null,
    offline: null,
    leaderEpochs: new LeaderEpochs(),
    onDurable: null as (() => void) | null,
    read: () => ({ chunks: [], bytes: 0 }),
  };
  const partition = new Partition({ topic: "t", topicId: "x", index: 0, log: log as unknown as Log, leaderEpoch: 3, isLeader });
  const durable = (offset: number, bytes: number): void => {
    log.durableEndOffset = offset;
    log.durableEndBytes = bytes;
    log.onDurable?.();
  };
  return { log, partition, durable };
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof KafkaError) return error.error;
    throw error;
  }
  return "NONE";
};

describe("a partition", () => {
  test("releases waiters in the order of offsets, each when its offset is durable", () => {
    const { partition, durable } = make();
    const told: string[] = [];
    for (const offset of [1, 2, 2, 5]) partition.onceDurable(offset, (error) => told.push(`${offset} ${error}`));
    durable(2, 20);
    expect(told).toEqual(["1 null", "2 null", "2 null"]);
    partition.onceDurable(2, () => told.push("at once"));
    durable(5, 50);
    expect(told.slice(3)).toEqual(["at once", "5 null"]);
  });

  test("keeps its order through a long queue", () => {
    const { partition, durable } = make();
    const told: number[] = [];
    for (let offset = 1; offset <= 5000; offset++) partition.onceDurable(offset, () => told.push(offset));
    for (let offset = 700; offset <= 5600; offset += 700) durable(offset, offset);
    expect(told).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
  });

  test("tells watchers how much more is readable, and waiters and watchers that it is over", () => {
    const { partition, durable, log } = make();
    const told: string[] = [];
    partition.watch({ onReadable: (bytes) => told.push(`+${bytes}`), onClosed: () => told.push("closed") });
    durable(1, 100);
    durable(3, 250);
    partition.onceDurable(9, (error) => told.push(`${error?.error}`));
    partition.close(new KafkaError("UNKNOWN_TOPIC_OR_PARTITION"));
    partition.close(new KafkaError("NOT_LEADER_OR_FOLLOWER"));
    expect(told).toEqual(["+100", "+150", "UNKNOWN_TOPIC_OR_PARTITION", "closed"]);
    expect(log.onDurable).toBeNull();
    partition.onceDurable(1, (error) => told.push(`late ${error?.error}`));
    expect(told.at(-1)).toBe("late UNKNOWN_TOPIC_OR_PARTITION");
    expect(codeOf(() => partition.read(0, "read_uncommitted", 1, true))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  });

  test("checks the epoch that a client believes in, and that it leads at all", () => {
    const { partition } = make();
    expect([-1, 3, 2, 4].map((epoch) => codeOf(() => partition.checkLeaderEpoch(epoch)))).toEqual([
      "NONE",
      "NONE",
      "FENCED_LEADER_EPOCH",
      "UNKNOWN_LEADER_EPOCH",
    ]);
    const elsewhere = make(false).partition;
    expect(codeOf(() => elsewhere.checkLeaderEpoch(-1))).toBe("NOT_LEADER_OR_FOLLOWER");
    expect(codeOf(() => elsewhere.read(0, "read_uncommitted", 1, true))).toBe("NOT_LEADER_OR_FOLLOWER");
    expect(codeOf(() => elsewhere.append({} as never))).toBe("NOT_LEADER_OR_FOLLOWER");
  });

  test("shows readers of committed data nothing from an open transaction on", () => {
    const { partition, durable, log } = make();
    durable(10, 100);
    log.firstOpenTransactionOffset = 4;
    expect([partition.readableEnd("read_committed"), partition.readableEnd("read_uncommitted")]).toEqual([4, 10]);
    log.firstOpenTransactionOffset = 12;
    expect(partition.lastStableOffset).toBe(10);
  });
});
