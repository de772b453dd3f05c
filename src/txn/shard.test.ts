/** What transactions do by the letter of Kafka: expectations from TransactionCoordinator, TransactionMetadata and their tables (KIP-98, 360, 890). */

import { describe, expect, test } from "bun:test";
import { MemoryBound } from "../base/memory-bound.ts";
import { errorName } from "../protocol/errors.ts";
import type { TransactionCommand, TransactionReply } from "./commands.ts";
import type { PartitionsByTopic, TransactionRecord } from "./durable.ts";
import { decodeTransactionRecord, encodeTransactionRecord } from "./records.ts";
import { TransactionShard } from "./shard.ts";

const LEVEL = { transactionVersion: 2 };
const CONFIG = {
  transactionalIdExpirationMs: 1000,
  abortTimedOutIntervalMs: 10,
  removeExpiredIntervalMs: 100,
  transactionVersion: () => LEVEL.transactionVersion,
};
const T0: PartitionsByTopic = new Map([["t", new Set([0])]]);
const T01: PartitionsByTopic = new Map([["t", new Set([0, 1])]]);

type Unaddressed<C> = C extends unknown ? Omit<C, "ticket"> : never;

/** A shard, its log, and what its partitions have been told. */
class Rig {
  readonly memory: MemoryBound;
  shard: TransactionShard;
  nowMs = 0;
  readonly log: TransactionRecord[] = [];
  readonly unasked: TransactionReply[] = [];
  private tickets = 0;
  private freshId = 100;
  private readonly answers = new Map<number, TransactionReply>();

  constructor(limitBytes = 1_000_000) {
    this.memory = new MemoryBound(limitBytes);
    this.shard = new TransactionShard(CONFIG, this.memory);
    this.take(this.shard.loaded(0));
  }

  /** As the host does: records to the log and back, replies to who asked. A fresh producer id for who needs one. */
  ask(command: Unaddressed<TransactionCommand>): TransactionReply | undefined {
    const ticket = ++this.tickets;
    this.take(this.shard.step({ ...command, ticket } as TransactionCommand, this.nowMs));
    const answer = this.answers.get(ticket);
    if (answer?.kind !== "need-id") return answer;
    return this.ask({ ...command, freshProducerId: ++this.freshId } as Unaddressed<TransactionCommand>);
  }

  answerTo(ticket: number): TransactionReply | undefined {
    return this.answers.get(ticket);
  }

  advance(ms: number): void {
    const until = this.nowMs + ms;
    while (this.shard.wakeAtMs <= until) {
      this.nowMs = Math.max(this.nowMs, this.shard.wakeAtMs);
      this.take(this.shard.tick(this.nowMs));
    }
    this.nowMs = until;
  }

  /** All that is in the log, in a new shard. */
  restart(): void {
    this.shard.unload();
    this.shard = new TransactionShard(CONFIG, this.memory);
    for (const record of this.log) this.shard.apply(record);
    this.take(this.shard.loaded(this.nowMs));
  }

  init(expected: { producerId: number; epoch: number } | null = null, transactionalId = "id"): string {
    const told = this.ask({ kind: "init", transactionalId, timeoutMs: 50, expected, freshProducerId: null });
    return told?.kind === "init" ? describeAnswer(told.errorCode, told.producerId, told.epoch) : "?";
  }

  add(producerId: number, epoch: number, partitions = T0, patienceMs = 0, clientVersion = 2): string {
    const told = this.ask({ kind: "add", transactionalId: "id", producerId, epoch, partitions, clientVersion, patienceMs });
    return told?.kind === "add" ? errorName(told.errorCode) : "waits";
  }

  end(producerId: number, epoch: number, result: "commit" | "abort", clientVersion = 2): string {
    const about = { transactionalId: "id", producerId, epoch, result, clientVersion };
    const told = this.ask({ kind: "end", ...about, freshProducerId: null });
    return told?.kind === "end" ? describeAnswer(told.errorCode, told.producerId, told.epoch) : "?";
  }

  /** The partitions that were told last say that they know. */
  written(): string {
    const told = this.unasked.findLast((each) => each.kind === "markers");
    if (told?.kind !== "markers") throw new Error("nobody was told");
    const { transactionalId, producerId, epoch, result, partitions } = told;
    this.ask({ kind: "written", transactionalId, producerId, epoch });
    return `${result} ${producerId}/${epoch} ${[...partitions].map(([topic, indexes]) => `${topic}-${[...indexes]}`)}`;
  }

  state(): string | undefined {
    const told = this.ask({ kind: "describe", transactionalId: "id" });
    return told?.kind === "describe" ? told.transaction?.state : "?";
  }

  private take(effects: { records: readonly TransactionRecord[]; replies: readonly TransactionReply[] }): void {
    for (const record of effects.records) {
      const { key, value } = encodeTransactionRecord(record);
      const read = decodeTransactionRecord(key, value)!;
      this.log.push(read);
      this.shard.apply(record);
    }
    for (const reply of effects.replies) {
      if (reply.ticket === 0) this.unasked.push(reply);
      else this.answers.set(reply.ticket, reply);
    }
  }
}

const describeAnswer = (errorCode: number, producerId: number, epoch: number): string =>
  errorCode === 0 ? `${producerId}/${epoch}` : errorName(errorCode);

/** A producer whose transaction has ended so, under KIP-890: 101/1. */
function ended(result: "commit" | "abort"): Rig {
  const rig = new Rig();
  expect(rig.init()).toBe("101/0");
  expect(rig.add(101, 0)).toBe("NONE");
  expect(rig.end(101, 0, result)).toBe("101/1");
  expect(rig.written()).toBe(`${result} 101/1 t-0`);
  return rig;
}

describe("InitProducerId", () => {
  test("gives a new id, then new epochs", () => {
    const rig = new Rig();
    expect([rig.init(), rig.init(), rig.init()]).toEqual(["101/0", "101/1", "101/2"]);
    rig.restart();
    expect(rig.init()).toBe("101/3");
  });

  test("aborts what is open, and takes two epochs for it", () => {
    const rig = new Rig();
    rig.init();
    rig.add(101, 0);
    expect(rig.init()).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.init()).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.end(101, 0, "commit")).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.written()).toBe("abort 101/1 t-0");
    expect(rig.end(101, 0, "commit", 0)).toBe("PRODUCER_FENCED");
    expect(rig.init()).toBe("101/2");
  });

  test("KIP-360: a producer goes on with its next epoch, and may ask twice; one that was replaced may not", () => {
    const rig = new Rig();
    rig.init();
    expect(rig.init({ producerId: 101, epoch: 0 })).toBe("101/1");
    expect(rig.init({ producerId: 101, epoch: 0 })).toBe("101/1");
    expect(rig.init({ producerId: 101, epoch: 1 })).toBe("101/2");
    expect(rig.init({ producerId: 101, epoch: 0 })).toBe("PRODUCER_FENCED");
    expect(rig.init({ producerId: 7, epoch: 2 })).toBe("PRODUCER_FENCED");
    expect(rig.init()).toBe("101/3");
    expect(rig.init({ producerId: 101, epoch: 2 })).toBe("PRODUCER_FENCED");
  });

  test("a new id when the epochs are used up", () => {
    const rig = new Rig();
    for (let epoch = 0; epoch < 32_767; epoch++) expect(rig.init()).toBe(`101/${epoch}`);
    expect(rig.init({ producerId: 101, epoch: 32_766 })).toBe("102/0");
    expect(rig.init({ producerId: 101, epoch: 32_766 })).toBe("102/0"); // the answer was lost
    expect(rig.init()).toBe("102/1");
  });

  test("is refused when there is no room for more", () => {
    const rig = new Rig(1000);
    expect(rig.init()).toBe("101/0");
    expect(rig.init(null, "another")).toBe("POLICY_VIOLATION");
    expect(rig.init()).toBe("101/1");
    expect(rig.add(101, 1, new Map([["t", new Set(Array.from({ length: 50 }, (_, i) => i))]]))).toBe("POLICY_VIOLATION");
    rig.shard.unload();
    expect(rig.memory.heldBytes).toBe(0);
  });
});

describe("EndTxn by the older protocol", () => {
  test("keeps the epoch; the state tells repetitions", () => {
    const rig = new Rig();
    rig.init();
    expect(rig.end(101, 0, "commit", 0)).toBe("INVALID_TXN_STATE");
    rig.add(101, 0, T0, 0, 0);
    rig.add(101, 0, T01, 0, 0);
    expect(rig.end(7, 0, "commit", 0)).toBe("INVALID_PRODUCER_ID_MAPPING");
    expect(rig.end(101, 1, "commit", 0)).toBe("PRODUCER_FENCED");
    expect(rig.end(101, 0, "commit", 0)).toBe("-1/-1");
    expect(rig.end(101, 0, "commit", 0)).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.add(101, 0, T0, 0, 0)).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.written()).toBe("commit 101/0 t-0,1");
    expect(rig.end(101, 0, "commit", 0)).toBe("-1/-1");
    expect(rig.end(101, 0, "abort", 0)).toBe("INVALID_TXN_STATE");
    expect(rig.add(101, 0, T0, 0, 0)).toBe("NONE");
    expect(rig.state()).toBe("Ongoing");
  });
});

describe("EndTxn by KIP-890", () => {
  // TransactionCoordinator's table: the epoch before (a repetition) and the present one, in each state.
  const table: [state: string, make: () => Rig, epochs: [number, number], [string, string], [string, string]][] = [
    ["CompleteCommit", () => ended("commit"), [0, 1], ["101/1", "INVALID_TXN_STATE"], ["INVALID_TXN_STATE", "101/2"]],
    ["CompleteAbort", () => ended("abort"), [0, 1], ["INVALID_TXN_STATE", "INVALID_TXN_STATE"], ["101/1", "101/2"]],
    [
      "Empty",
      () => {
        const rig = new Rig();
        rig.init();
        rig.init();
        return rig;
      },
      [0, 1],
      ["PRODUCER_FENCED", "INVALID_TXN_STATE"],
      ["PRODUCER_FENCED", "101/2"],
    ],
  ];
  for (const [state, make, [before, present], commit, abort] of table)
    test(state, () => {
      expect(make().state()).toBe(state);
      expect([make().end(101, before, "commit"), make().end(101, present, "commit")]).toEqual(commit);
      expect([make().end(101, before, "abort"), make().end(101, present, "abort")]).toEqual(abort);
    });

  test("a late one cannot end the next transaction", () => {
    const rig = ended("commit");
    expect(rig.add(101, 1)).toBe("NONE");
    expect(rig.end(101, 0, "abort")).toBe("PRODUCER_FENCED");
    expect(rig.end(101, 0, "commit")).toBe("PRODUCER_FENCED");
    expect(rig.state()).toBe("Ongoing");
  });

  test("a new id when the epochs are used up, told at once and once more", () => {
    const rig = new Rig();
    rig.init();
    for (let epoch = 0; epoch < 32_766; epoch++) {
      expect(rig.end(101, epoch, "abort")).toBe(`101/${epoch + 1}`);
      rig.written();
    }
    expect(rig.add(101, 32_766)).toBe("NONE");
    expect(rig.end(101, 32_766, "commit")).toBe("102/0");
    expect(rig.add(102, 0, T0, 50)).toBe("waits");
    expect(rig.written()).toBe("commit 101/32767 t-0");
    expect(rig.state()).toBe("Ongoing"); // who waited began
    expect(rig.end(101, 32_766, "commit")).toBe("INVALID_PRODUCER_ID_MAPPING");
    expect(rig.end(102, 0, "abort")).toBe("102/1");
  });

  test("the first records of the next transaction wait for the end of this one, but not for long", () => {
    const rig = ended("commit");
    rig.add(101, 1);
    rig.end(101, 1, "commit");
    const about = { kind: "add", transactionalId: "id", producerId: 101, epoch: 2, partitions: T0, clientVersion: 2 } as const;
    expect(rig.ask({ ...about, patienceMs: 20 })).toBeUndefined();
    expect(rig.add(101, 2)).toBe("CONCURRENT_TRANSACTIONS");
    rig.advance(21);
    rig.written();
    expect(rig.state()).toBe("CompleteCommit");
    expect(rig.add(101, 2)).toBe("NONE");
  });
});

describe("partitions", () => {
  test("are verified by producer, epoch and place", () => {
    const rig = new Rig();
    const verify = (producerId: number, epoch: number, partitions: PartitionsByTopic): string => {
      const told = rig.ask({ kind: "verify", transactionalId: "id", producerId, epoch, partitions });
      if (told?.kind !== "verify") return "?";
      return told.errorCode === 0
        ? `missing ${[...told.missing].map(([topic, i]) => `${topic}-${[...i]}`)}`
        : errorName(told.errorCode);
    };
    expect(verify(101, 0, T0)).toBe("INVALID_PRODUCER_ID_MAPPING");
    rig.init();
    rig.add(101, 0);
    expect(verify(101, 0, T0)).toBe("missing ");
    expect(verify(101, 0, T01)).toBe("missing t-1");
    expect(verify(101, 1, T0)).toBe("PRODUCER_FENCED");
    expect(verify(7, 0, T0)).toBe("INVALID_PRODUCER_ID_MAPPING");
    expect(rig.shard.includes("id", 101, 0, "t", 0)).toBeTrue();
    expect(rig.shard.includes("id", 101, 0, "t", 1)).toBeFalse();
    rig.end(101, 0, "commit", 0);
    expect(verify(101, 0, T0)).toBe("CONCURRENT_TRANSACTIONS");
    expect(rig.shard.includes("id", 101, 0, "t", 0)).toBeFalse();
  });

  test("that are known already cost no record", () => {
    const rig = new Rig();
    rig.init();
    rig.add(101, 0, T01);
    const records = rig.log.length;
    expect(rig.add(101, 0, T0)).toBe("NONE");
    expect(rig.log.length).toBe(records);
  });
});

describe("time", () => {
  test("aborts what is open for too long, under a new epoch", () => {
    const rig = new Rig();
    rig.init();
    rig.add(101, 0);
    rig.advance(50);
    expect(rig.state()).toBe("Ongoing");
    rig.advance(20);
    expect(rig.state()).toBe("PrepareAbort");
    expect(rig.written()).toBe("abort 101/1 t-0");
    expect(rig.add(101, 0)).toBe("PRODUCER_FENCED");
    expect(rig.end(101, 0, "commit")).toBe("INVALID_TXN_STATE"); // as Kafka takes it: a repetition of what was aborted
    expect(rig.init({ producerId: 101, epoch: 1 })).toBe("101/2");
  });

  test("needs no fresh id where transaction.version is below 2: the next producer gets one", () => {
    LEVEL.transactionVersion = 1;
    const rig = new Rig();
    for (let epoch = 0; epoch <= 32_766; epoch++) rig.init();
    rig.add(101, 32_766, T0, 0, 0);
    rig.advance(100);
    LEVEL.transactionVersion = 2;
    expect(rig.written()).toBe("abort 101/32767 t-0");
    expect(rig.init()).toBe("102/0");
  });

  test("asks for a fresh id when that needs one", () => {
    const rig = new Rig();
    for (let epoch = 0; epoch <= 32_766; epoch++) rig.init();
    rig.add(101, 32_766);
    rig.advance(100);
    const asked = rig.unasked.findLast((each) => each.kind === "timed-out");
    expect(asked).toMatchObject({ transactionalId: "id", producerId: 101, epoch: 32_766 });
    rig.ask({ kind: "expire", transactionalId: "id", producerId: 101, epoch: 32_766, freshProducerId: 500 });
    expect(rig.written()).toBe("abort 101/32767 t-0");
    expect(rig.init()).toBe("500/1");
  });

  test("forgets ids that are not used, but none with a transaction", () => {
    const rig = new Rig();
    rig.init(null, "idle");
    rig.init();
    rig.add(101 + 1, 0);
    rig.end(101 + 1, 0, "commit"); // and nobody says that it is written
    rig.advance(1200);
    expect(rig.ask({ kind: "describe", transactionalId: "idle" })).toMatchObject({ transaction: null });
    expect(rig.state()).toBe("PrepareCommit");
    expect(rig.log.at(-1)).toEqual({ transactionalId: "idle", value: null });
  });
});

test("after a restart what was decided is told again, and what was open is still open", () => {
  const rig = new Rig();
  rig.init();
  rig.add(101, 0, T01);
  rig.restart();
  expect(rig.state()).toBe("Ongoing");
  rig.end(101, 0, "commit");
  rig.unasked.length = 0;
  rig.restart();
  expect(rig.written()).toBe("commit 101/1 t-0,1");
  expect(rig.state()).toBe("CompleteCommit");
});

test("is listed by state, producer and duration", () => {
  const rig = new Rig();
  rig.init(null, "a");
  rig.init();
  rig.add(102, 0);
  rig.advance(30);
  const list = (filters: object): string[] => {
    const any = { states: null, producerIds: null, durationMs: -1 };
    const told = rig.ask({ kind: "list", ...any, ...filters });
    return told?.kind === "list"
      ? told.transactions.map((each) => `${each.transactionalId} ${each.producerId} ${each.state}`)
      : [];
  };
  expect(list({})).toEqual(["a 101 Empty", "id 102 Ongoing"]);
  expect(list({ states: new Set(["Ongoing"]) })).toEqual(["id 102 Ongoing"]);
  expect(list({ producerIds: new Set([101]) })).toEqual(["a 101 Empty"]);
  expect(list({ durationMs: 20 })).toEqual(["a 101 Empty", "id 102 Ongoing"]); // Kafka counts from -1 where nothing began
  expect(list({ durationMs: 40, states: new Set(["Ongoing"]) })).toEqual([]);
});
