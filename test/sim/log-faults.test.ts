/**
 * Every call to the disk fails once, in a history that rolls, reads, deletes what is old, stops and starts: what was durable stays,
 * nothing half-done is seen.
 */
import { expect, test } from "bun:test";
import { DiskError } from "../../src/io/disk.ts";
import { DataDirectoryError } from "../../src/log/log-directory.ts";
import type { Fault } from "./fake-disk.ts";
import { endOf, isKafkaError, LogWorld, type ModelLog } from "./log-world.ts";

const STRIDE = Number(process.env.SIM_STRIDE ?? 1);
const SYNCS = new Set(["fdatasync", "fsync", "syncfs"]);

interface Outcome {
  /** Calls to the disk that the history made. */
  readonly calls: number;
  /** The operation that failed, null if the history ended before. */
  readonly failed: string | null;
}

/** One history, in which call number `at` fails. */
class Run {
  readonly world: LogWorld;
  failed: string | null = null;

  constructor(at: number, fault: Fault, hasSyncFileSystem: boolean) {
    this.world = new LogWorld({
      seed: 7,
      hasSyncFileSystem,
      config: { syncFileSystemAbove: 1, journalAbove: 1, journalBytes: 28 * 1024, retentionCheckIntervalMs: 40 },
      logConfig: { segmentBytes: 1500, indexIntervalBytes: 200, retentionBytes: 2500, fileDeleteDelayMs: 5 },
    });
    this.inject(at, fault);
  }

  async play(): Promise<Outcome> {
    const { world } = this;
    await this.start();
    const models = [await this.create("a"), await this.create("b")];
    for (let i = 0; i < 24; i++) {
      await this.append(models[i % 2]!, i);
      if (i % 6 === 5) await this.settle(() => world.check(models[0]!));
    }
    await this.stop();
    await this.start();
    for (let i = 24; i < 30; i++) await this.append(models[i % 2]!, i);
    await this.settle(() => world.clock.advance(50));
    await this.settle(() => this.deleteBelow(models[0]!, 26));
    await this.restart("power");
    await this.settle(() => this.deleteBelow(models[1]!, endOf(models[1]!)));
    await this.settle(() => world.clock.advance(100));
    await this.stop();
    await this.start();
    await this.settle(() => world.checkAll());
    return { calls: world.disk.calls, failed: this.failed };
  }

  private inject(at: number, fault: Fault): void {
    const { disk } = this.world;
    let left = at;
    disk.fault = (operation) => {
      if (this.failed !== null || left-- > 0) return null;
      this.failed = operation;
      return fault;
    };
  }

  /** A directory that cannot be opened is tried again, as a supervisor does. */
  private async start(): Promise<void> {
    try {
      await this.world.start();
    } catch (error) {
      if (!(error instanceof DataDirectoryError)) throw error;
      this.world.crash("power");
      await this.world.start();
    }
    await this.afterFailure();
    for (const model of this.world.logs) this.world.adopt(model, "power");
  }

  private async create(topic: string): Promise<ModelLog> {
    const model = await this.world.create(topic);
    await this.afterFailure();
    return model;
  }

  private async stop(): Promise<void> {
    const fault = this.world.disk.fault;
    try {
      await this.world.stop();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.world.crash("power");
    }
    this.world.disk.fault = fault;
  }

  /** One producer per log, in sequence; a refused append is repeated. */
  private async append(model: ModelLog, i: number): Promise<void> {
    const end = endOf(model);
    const last = model.batches.at(-1);
    const sequence = last === undefined ? 0 : last.lastSequence + 1;
    try {
      this.world.append(model, { producerId: 1, sequence, valueBytes: 60 + i });
    } catch (error) {
      if (!isKafkaError(error, "KAFKA_STORAGE_ERROR")) throw error;
      expect(model.log!.logEndOffset).toBe(end);
      if (model.log!.offline !== null) await this.restart("kill");
      this.world.append(model, {
        producerId: 1,
        sequence: model.batches.length === 0 ? 0 : model.batches.at(-1)!.lastSequence + 1,
        valueBytes: 60 + i,
      });
    }
    await this.settle(() => this.world.clock.advance(3));
  }

  /** What is acknowledged stays, whatever comes: the world sees to that. */
  private async deleteBelow(model: ModelLog, offset: number): Promise<void> {
    const { world } = this;
    const log = model.log!;
    await world.clock.run(log.moveStart(Math.min(offset, log.durableEndOffset)));
    world.seeStart(model);
  }

  /** Runs something that may meet the fault. */
  private async settle(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (!isKafkaError(error, "KAFKA_STORAGE_ERROR")) throw error;
      await run();
    }
    await this.afterFailure();
  }

  /** A failed sync ends the process. A log that could not be opened needs another start. */
  private async afterFailure(): Promise<void> {
    const { world } = this;
    const offline = world.logs.some((model) => model.log !== null && model.log.offline !== null);
    if (this.failed !== null && SYNCS.has(this.failed)) expect(world.fatal !== null || world.directory !== null).toBeTrue();
    if (world.fatal !== null) await this.restart("power");
    else if (offline) await this.restart("kill");
  }

  private async restart(how: "kill" | "power"): Promise<void> {
    const { world } = this;
    const fault = world.disk.fault;
    world.crash(how);
    world.disk.fault = fault;
    await this.start();
  }
}

const outcomeOf = (at: number, fault: Fault, hasSyncFileSystem: boolean): Promise<Outcome> =>
  new Run(at, fault, hasSyncFileSystem).play();

test.each([
  { fault: { code: "EIO" }, hasSyncFileSystem: false },
  { fault: { code: "ENOSPC", written: 20 }, hasSyncFileSystem: true },
])(
  "every call fails once: %p",
  async ({ fault, hasSyncFileSystem }) => {
    const { calls } = await outcomeOf(Number.POSITIVE_INFINITY, fault, hasSyncFileSystem);
    expect(calls).toBeGreaterThan(300);
    for (let at = 0; at < calls; at += STRIDE) {
      try {
        await outcomeOf(at, fault, hasSyncFileSystem);
      } catch (error) {
        throw new Error(`with call ${at} failing: ${error instanceof Error ? error.stack : error}`);
      }
    }
  },
  60_000,
);

test("a failed sync is final: nothing is released, the process is told to end, and nothing is synced again", async () => {
  const world = new LogWorld({ seed: 3 });
  await world.start();
  const model = await world.create("a");
  world.append(model);
  await world.clock.advance(20);
  const { durableEnd } = model;
  expect(durableEnd).toBe(endOf(model));
  let syncs = 0;
  world.disk.fault = (operation) => (operation === "fdatasync" && syncs++ === 0 ? { code: "EIO" } : null);
  world.append(model);
  await world.clock.advance(20);
  expect(String(world.fatal)).toContain("EIO");
  expect(model.durableEnd).toBe(durableEnd);
  world.append(model);
  await world.clock.advance(100);
  expect(syncs).toBe(1);
  expect(model.durableEnd).toBe(durableEnd);
  expect(world.directory!.rounds.idle()).rejects.toThrow("EIO");
});

test.each(["fdatasync", "syncfs"])("what a failed %s left in memory is not believed by the next start", async (call) => {
  const world = new LogWorld({ seed: 4, hasSyncFileSystem: true, config: { syncFileSystemAbove: call === "syncfs" ? 0 : 100 } });
  await world.start();
  const models = [await world.create("a"), await world.create("b")];
  for (const model of models) world.append(model);
  await world.clock.advance(20);
  world.disk.fault = (operation) => (operation === call ? { code: "EIO" } : null);
  for (const model of models) world.append(model);
  await world.clock.advance(20);
  expect(String(world.fatal)).toContain("EIO");
  world.fatal = null;
  world.crash("kill");
  await world.start();
  for (const model of models) {
    expect(model.log!.logEndOffset).toBe(model.durableEnd); // the rest is in memory alone
    world.adopt(model, "power");
    world.append(model);
  }
  await world.clock.advance(20);
  for (const model of models) expect(model.durableEnd).toBe(endOf(model));
  world.crash("power");
  await world.start();
  for (const model of models) world.adopt(model, "power");
  await world.checkAll();
});

test("a failed sync that cannot be noted ends the process all the same", async () => {
  const world = new LogWorld({ seed: 5 });
  await world.start();
  const model = await world.create("a");
  world.disk.fault = (operation, path) =>
    operation === "fdatasync" || path.endsWith("/quarkmq-failed-sync") ? { code: "EIO" } : null;
  world.append(model);
  await world.clock.advance(20);
  expect(String(world.fatal)).toContain("fdatasync");
});
