/** The host with a machine that keeps one sum: "add n" is written, "wait" is parked until the sum is 10 or time is up. */
import { describe, expect, test } from "bun:test";
import { silentLogger } from "../base/logger.ts";
import type { Effects } from "../base/machine.ts";
import { Deadlines } from "../io/deadlines.ts";
import { KafkaError } from "../protocol/errors.ts";
import { Codec, type CodecName } from "../record/batch.ts";
import { type Coordinator, CoordinatorHost } from "./coordinator-host.ts";
import { RigClock, RigPartition } from "./coordinator-host-rig.ts";

type Command = { ticket: number; add?: number; wait?: boolean; ones?: number };
type Reply = { ticket: number; sum: number };
type Fx = Effects<number, Reply>;

class Sum implements Coordinator<Command, number, Reply> {
  wallOffsetMs = 0;
  wakeAtMs = Number.POSITIVE_INFINITY;
  sum = 0;
  isLoaded = false;
  isUnloaded = false;
  private parked: number[] = [];
  private rejections = 0;

  step({ ticket, add, wait, ones }: Command, nowMs: number): Fx {
    if (wait) {
      this.parked.push(ticket);
      this.wakeAtMs = Math.min(this.wakeAtMs, nowMs + 1000);
      return { records: [], replies: [] };
    }
    if (ones !== undefined) return { records: Array<number>(ones).fill(1), replies: [{ ticket, sum: -ones }], canBeSplit: true };
    if (add === undefined) return { records: [], replies: [{ ticket, sum: this.sum }] };
    const sum = this.sum + add;
    const freed = sum >= 10 ? this.parked.splice(0) : [];
    return { records: [add], replies: [{ ticket, sum }, ...freed.map((each) => ({ ticket: each, sum }))] };
  }

  apply(add: number): void {
    this.sum += add;
  }

  tick(): Fx {
    this.wakeAtMs = Number.POSITIVE_INFINITY;
    return { records: [100], replies: this.parked.splice(0).map((ticket) => ({ ticket, sum: -1 })) };
  }

  loaded(): Fx {
    this.isLoaded = true;
    return { records: [], replies: [] };
  }

  unload(): void {
    this.isUnloaded = true;
  }

  rejected(): Fx {
    this.rejections++;
    return { records: [], replies: this.parked.splice(0).map((ticket) => ({ ticket, sum: -this.rejections })) };
  }
}

class Rig {
  readonly clock = new RigClock();
  readonly partition: RigPartition;
  readonly machines: Sum[] = [];
  readonly host: CoordinatorHost<Command, number, Reply>;
  readonly heard: string[] = [];
  maxBatchBytes = 1000;

  /** What the operator reads. */
  readonly told: string[] = [];

  constructor(partition = new RigPartition(), maxQueued = 3, compression: CodecName = "none") {
    this.partition = partition;
    this.host = new CoordinatorHost<Command, number, Reply>({
      partition,
      codec: {
        encode: (add) => ({ key: Buffer.from("n"), value: Buffer.from(String(add)) }),
        decode: (key, value) => (key.toString() === "n" ? Number(value!.toString()) : null),
      },
      clock: this.clock,
      deadlines: new Deadlines(this.clock),
      logger: { ...silentLogger, error: (message: string) => void this.told.push(message) },
      create: () => {
        const machine = new Sum();
        this.machines.push(machine);
        return machine;
      },
      maxBatchBytes: () => this.maxBatchBytes,
      maxQueued,
      replyTimeoutMs: 5000,
      compression,
    });
  }

  ask(name: string, command: Omit<Command, "ticket">): this {
    this.host.submit(command, (outcome) => {
      this.heard.push(`${name} ${outcome instanceof KafkaError ? outcome.error : outcome.sum}`);
    });
    return this;
  }

  /** Lets a load that is under way come to its end. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) {
      await Promise.resolve();
      this.clock.advance(0);
    }
  }
}

describe("a coordinator host", () => {
  test("answers when what the step saw is durable, reads too", () => {
    const rig = new Rig();
    rig.partition.syncsAtOnce = false;
    rig.ask("empty", {}).ask("a", { add: 3 }).ask("b", { add: 4 }).ask("read", {});
    expect(rig.heard).toEqual(["empty 0"]);
    expect(rig.machines[0]!.sum).toBe(7);
    rig.partition.sync();
    expect(rig.heard).toEqual(["empty 0", "a 3", "b 7", "read 7"]);
  });

  test("finds a parked caller in a later step", () => {
    const rig = new Rig();
    rig.ask("w", { wait: true }).ask("a", { add: 9 }).ask("b", { add: 1 });
    expect(rig.heard).toEqual(["a 9", "b 10", "w 10"]);
    expect(rig.host.waiting).toBe(0);
  });

  test("ticks when the machine wants to be woken", () => {
    const rig = new Rig();
    rig.ask("w", { wait: true });
    rig.clock.advance(999);
    expect(rig.heard).toEqual([]);
    rig.clock.advance(1);
    expect(rig.heard).toEqual(["w -1"]);
    expect(rig.machines[0]!.sum).toBe(100);
  });

  test("tells the machine the wall clock", () => {
    const rig = new Rig();
    rig.clock.advance(500);
    rig.ask("a", { add: 1 });
    expect(rig.machines[0]!.wallOffsetMs).toBe(1_700_000_000_000);
  });

  test("a failed append applies nothing; the caller hears it as clients of coordinators know it", () => {
    const rig = new Rig();
    rig.ask("w", { wait: true });
    rig.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    rig.ask("a", { add: 5 });
    expect(rig.heard).toEqual(["a NOT_COORDINATOR", "w -1"]);
    expect(rig.machines[0]!.sum).toBe(0);
    expect(rig.told).toEqual([]); // the log itself tells, now and then
    rig.partition.fails = null;
    rig.ask("b", { add: 1 });
    expect(rig.heard.at(-1)).toBe("b 1");
  });

  test("refuses a batch that the log must not hold", () => {
    const rig = new Rig();
    rig.maxBatchBytes = 60;
    rig.ask("a", { add: 1 });
    expect(rig.heard).toEqual(["a UNKNOWN_SERVER_ERROR"]);
    expect(rig.told).toEqual(["a coordinator could not write"]);
    expect(rig.partition.batches).toEqual([]);
  });

  test("makes several batches of what can be split; what is written before one fails stays", () => {
    const rig = new Rig();
    rig.maxBatchBytes = 200;
    rig.ask("a", { ones: 10 });
    expect(rig.heard).toEqual(["a -10"]);
    expect(rig.partition.batches.map((batch) => batch.readInt32BE(57))).toEqual([4, 4, 2]); // their record counts
    expect(Math.max(...rig.partition.batches.map((batch) => batch.length))).toBeLessThanOrEqual(200);
    rig.partition.appendsLeft = 1;
    rig.ask("b", { ones: 10 });
    expect(rig.heard.at(-1)).toBe("b NOT_COORDINATOR");
    expect(rig.machines[0]!.sum).toBe(14);
    const again = new Rig(rig.partition);
    again.ask("read", {});
    return again.settle().then(() => expect(again.heard).toEqual(["read 14"]));
  });

  test("does not wait for a disk for ever", () => {
    const rig = new Rig();
    rig.partition.syncsAtOnce = false;
    rig.ask("a", { add: 1 });
    rig.clock.advance(5000);
    expect(rig.heard).toEqual(["a COORDINATOR_NOT_AVAILABLE"]);
    rig.partition.sync();
    expect(rig.heard.length).toBe(1);
  });
});

describe("loading", () => {
  async function filled(): Promise<RigPartition> {
    const rig = new Rig();
    rig.ask("a", { add: 3 }).ask("b", { add: 4 });
    return rig.partition;
  }

  test.each(["gzip", "snappy", "lz4", "zstd"] as const)(
    "reads what was written with %s, and goes on in another codec",
    async (codec) => {
      const { partition } = new Rig(undefined, 3, codec).ask("a", { ones: 20 });
      const plain = new Rig(partition);
      plain.ask("b", { add: 2 });
      await plain.settle();
      expect(plain.heard).toEqual(["b 22"]);
      expect(partition.batches.map((batch) => batch.readInt16BE(21))).toEqual([Codec[codec], 0]); // their attributes
      expect(partition.batches[0]!.length).toBeLessThan(200);
    },
  );

  test("can be waited for, whether it is needed, under way or failed", async () => {
    const empty = new Rig();
    await empty.host.settled();
    const rig = new Rig(await filled());
    rig.host.prepare();
    let isSettled = false;
    const settled = rig.host.settled().then(() => {
      isSettled = true;
    });
    await Promise.resolve();
    expect(isSettled).toBe(false);
    await rig.settle();
    await settled;
    expect(rig.machines[0]!.isLoaded).toBe(true);
    const broken = new Rig(await filled());
    broken.partition.fails = new KafkaError("KAFKA_STORAGE_ERROR");
    broken.host.prepare();
    await broken.host.settled();
  });

  test("replays the log before the first command, and keeps commands in order meanwhile", async () => {
    const rig = new Rig(await filled());
    rig.ask("read", {}).ask("c", { add: 5 });
    expect(rig.heard).toEqual([]);
    await rig.settle();
    expect(rig.heard).toEqual(["read 7", "c 12"]);
    expect(rig.machines.map((machine) => machine.isLoaded)).toEqual([true]);
  });

  test("can begin before the first command", async () => {
    const rig = new Rig(await filled());
    rig.host.prepare();
    await rig.settle();
    rig.ask("read", {});
    expect(rig.heard).toEqual(["read 7"]);
  });

  test("holds a bounded number of commands", async () => {
    const rig = new Rig(await filled(), 2);
    rig.ask("1", {}).ask("2", {}).ask("3", {});
    expect(rig.heard).toEqual(["3 COORDINATOR_LOAD_IN_PROGRESS"]);
    await rig.settle();
    expect(rig.heard.slice(1)).toEqual(["1 7", "2 7"]);
  });

  test("over gaps, which compaction leaves, and records of others", async () => {
    const partition = await filled();
    const rig = new Rig(partition);
    partition.batches.splice(0, 1); // the first is gone: the log begins at 1
    rig.ask("read", {});
    await rig.settle();
    expect(rig.heard).toEqual(["read 4"]);
  });

  test("that fails is answered, not repeated at once, and then repeated", async () => {
    const rig = new Rig(await filled());
    rig.partition.fails = new KafkaError("CORRUPT_MESSAGE");
    rig.ask("a", {});
    await rig.settle();
    rig.partition.fails = null;
    rig.ask("b", {});
    expect(rig.heard).toEqual(["a NOT_COORDINATOR", "b NOT_COORDINATOR"]);
    rig.clock.advance(1000);
    rig.ask("c", {});
    await rig.settle();
    expect(rig.heard.at(-1)).toBe("c 7");
    expect(rig.machines.map((machine) => machine.isUnloaded)).toEqual([true, false]);
  });

  test("a machine is not half loaded when the host closes meanwhile", async () => {
    const rig = new Rig(await filled());
    rig.ask("a", {});
    rig.host.close();
    await rig.settle();
    expect(rig.heard).toEqual(["a NOT_COORDINATOR"]);
    expect([rig.machines[0]!.isLoaded, rig.machines[0]!.isUnloaded]).toEqual([false, true]);
  });
});

describe("closing", () => {
  test("answers everybody: the parked, those whose answer is not durable, and all who come later", () => {
    const rig = new Rig();
    rig.partition.syncsAtOnce = false;
    rig.ask("w", { wait: true }).ask("a", { add: 1 });
    rig.partition.close();
    rig.ask("late", {});
    expect(rig.heard.toSorted()).toEqual(["a NOT_COORDINATOR", "late NOT_COORDINATOR", "w NOT_COORDINATOR"]);
    rig.clock.advance(10_000);
    expect(rig.heard.length).toBe(3);
    expect(rig.machines[0]!.isUnloaded).toBe(true);
  });
});
