/**
 * Thousands of histories of a whole broker, each from its seed: see simulation.ts. A seed that fails prints the end of its transcript.
 *
 *   SIM_SEED=17 bun test ./test/sim/simulation.test.ts -t histories     that one alone
 *   SIM_SEEDS=100000 SIM_FROM=5000 bun test …              as many as asked for, from there on
 */
import { describe, expect, test } from "bun:test";
import { silentLogger } from "../../src/base/logger.ts";
import { defaultServerConfig } from "../../src/config/server-options.ts";
import { DEFAULT_LOG_DIRECTORY_CONFIG, LogDirectory } from "../../src/log/log-directory.ts";
import { DeleteTopics } from "../../src/protocol/messages/20-delete-topics.ts";
import { ZERO_UUID } from "../../src/protocol/schema.ts";
import { BrokerWorld } from "./broker-world.ts";
import { create, partitionOf, put, readAll, TOPIC } from "./data-requests.ts";
import { FakeClock } from "./fake-clock.ts";
import { FakeDisk } from "./fake-disk.ts";
import { SeededRandom } from "./seeded-random.ts";
import { CHECKS } from "./simulation/history.ts";
import { type Outcome, simulate } from "./simulation.ts";

const TAIL_LINES = 60;
const only = process.env.SIM_SEED === undefined ? null : Number(process.env.SIM_SEED);
const seeds = only === null ? Number(process.env.SIM_SEEDS ?? 2000) : 1;
const firstSeed = only ?? Number(process.env.SIM_FROM ?? 1);
/** A test of so many seeds at a time, so that a hang is seen as one. */
const SEEDS_PER_TEST = 250;

const looked = new Map<string, number>();

async function mustHold(seed: number): Promise<void> {
  const outcome = await simulate(seed);
  for (const [name, times] of outcome.looked) looked.set(name, (looked.get(name) ?? 0) + times);
  if (outcome.violation !== null) throw new Error(report(outcome));
}

const report = ({ seed, violation, lines }: Outcome): string =>
  [
    ...lines.slice(-TAIL_LINES),
    `seed ${seed}: ${violation!.message}`,
    `again: SIM_SEED=${seed} node_modules/.bin/bun test ./test/sim/simulation.test.ts -t histories`,
  ].join("\n");

describe("histories of a whole broker", () => {
  for (let from = firstSeed; from < firstSeed + seeds; from += SEEDS_PER_TEST) {
    const to = Math.min(from + SEEDS_PER_TEST, firstSeed + seeds);
    test(`seeds ${from} to ${to - 1}`, async () => {
      for (let seed = from; seed < to; seed++) await mustHold(seed);
    }, 300_000);
  }

  if (only === null) {
    test("every check had something to look at", () => {
      expect(CHECKS.filter((name) => (looked.get(name) ?? 0) === 0)).toEqual([]);
    });
  }
});

test("the same seed gives the same history", async () => {
  const digests = new Set<string>();
  for (let seed = 1; seed <= 25; seed++) {
    const [first, second] = [await simulate(seed), await simulate(seed)];
    expect(second.lines, `seed ${seed}`).toEqual(first.lines);
    expect(second.digest).toBe(first.digest);
    digests.add(first.digest);
  }
  expect(digests.size).toBe(25);
});

describe("what it found", () => {
  test("a data directory is durable although the start that made it died before it had synced its parent", async () => {
    const clock = new FakeClock();
    const random = new SeededRandom(1);
    const disk = new FakeDisk({ random, clock });
    const server = defaultServerConfig({ dataDir: "/var/data" });
    const config = { ...DEFAULT_LOG_DIRECTORY_CONFIG, ...server };
    const options = { disk, clock, random, logger: silentLogger, path: "/var/data", config, onFatal() {} };
    LogDirectory.open(options).catch(() => {});
    disk.kill();
    expect(disk.exists("/var/data")).toBeTrue();
    clock.reset();
    await clock.run(LogDirectory.open(options));
    disk.cutPower();
    expect(disk.exists("/var/data/quarkmq-format")).toBeTrue();
  });

  test("the directory of a deleted topic goes even if a crash has taken the file with its id", async () => {
    const world = new BrokerWorld(1);
    await world.start();
    await create(world, 1);
    await put(world, 0, "old");
    world.send(DeleteTopics, 6, { topics: [{ name: TOPIC, topicId: ZERO_UUID }], timeoutMs: 1000 });
    world.crash("kill");
    world.disk.damage(`/data/${TOPIC}-0/partition.metadata`, 3);
    await world.start();
    await create(world, 1);
    expect(await readAll(world, 0)).toEqual([]);
    await world.clock.advance(1000);
    expect(world.disk.list("/data")!.filter(({ name }) => name.startsWith(TOPIC))).toEqual([]);
  });

  test("a read that comes back after its topic was deleted does not open the file of the next topic of that name", async () => {
    const world = new BrokerWorld(1, { logIndexIntervalBytes: 0 });
    await world.start();
    await create(world, 1);
    for (let i = 0; i < 20; i++) await put(world, 0, `old ${i}`);
    await world.stop();
    world.clock.reset();
    await world.start();
    world.disk.isHot = () => false; // everything is read in a thread
    const { log } = partitionOf(world, 0);
    const late = Promise.resolve(log.read(15, { limitOffset: 20, maxBytes: 10_000, atLeastOne: true }));
    const refused = late.then(
      () => null,
      (error) => error,
    );
    log.close();
    await world.clock.advance(1000);
    const openBefore = world.disk.openFiles;
    expect(String(await refused)).toContain("its log was closed");
    await world.stop();
    expect(world.disk.openFiles, `${openBefore} before`).toBe(0);
  });
});
