/** Random histories in which the journal is full, late, cut and replayed: many small appends, slow rounds, and the power fails often. */
import { describe, expect, test } from "bun:test";
import { endOf, LogWorld, type ModelLog } from "./log-world.ts";

const SEEDS = Number(process.env.SIM_SEEDS ?? 150);
const FIRST_SEED = Number(process.env.SIM_FIRST_SEED ?? 1);
const BLOCK_BYTES = 4096;

async function startAgain(world: LogWorld): Promise<void> {
  const { random } = world;
  let how: "kill" | "power" = random.chance(0.4) ? "kill" : "power";
  world.crash(how);
  while (random.chance(0.4)) {
    if (random.chance(0.5)) how = "power";
    await world.startInVain(random.fraction() * 20, how);
  }
  await world.start();
  for (const model of world.logs) world.adopt(model, how);
  await world.checkAll();
}

async function truncate(world: LogWorld, model: ModelLog): Promise<void> {
  const { random, clock } = world;
  const offset = random.int(endOf(model) + 1);
  await clock.run(model.log!.truncateTo(offset));
  model.batches = model.batches.filter((batch) => batch.lastOffset < offset);
  model.durableEnd = Math.min(model.durableEnd, endOf(model));
  expect(model.log!.logEndOffset).toBe(endOf(model));
}

async function step(world: LogWorld): Promise<void> {
  const { random, clock } = world;
  const model = random.pick(world.logs);
  const dice = random.int(1000);
  if (dice < 900) {
    world.append(model, { records: 1, valueBytes: random.pick([10, 100, 800]) });
    if (random.chance(0.7)) await clock.advance(random.fraction() * 2);
  } else if (dice < 930) for (let i = random.int(40); i > 0; i--) world.append(model, { records: 1, valueBytes: 400 });
  else if (dice < 960) await truncate(world, model);
  else await startAgain(world);
}

async function history(seed: number): Promise<void> {
  const world = new LogWorld({
    seed,
    hasSyncFileSystem: seed % 2 === 0,
    config: {
      journalAbove: seed % 5 === 0 ? 1 : 0,
      journalBytes: (3 + 2 * (seed % 8)) * BLOCK_BYTES,
      recoveryPointIntervalMs: [5, 1000][seed % 2]!,
    },
    logConfig: { segmentBytes: [3000, 1_000_000][seed % 3 === 0 ? 0 : 1]! },
  });
  // Rounds take their time, the journal does not.
  const pause = world.disk.pause.bind(world.disk);
  world.disk.pause = (maxMs) => pause(world.random.chance(0.3) ? 30 : maxMs);
  await world.start();
  for (let i = 0; i < 2 + (seed % 3); i++) await world.create(`t${i}`);
  for (let i = 0; i < 200; i++) {
    await step(world);
    expect(world.fatal).toBeNull();
  }
  await startAgain(world);
}

describe("a journal on a simulated disk", () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
    test(`seed ${seed}`, async () => {
      await history(seed);
    });
});
