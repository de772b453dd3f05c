/** The group coordinator under crashes, failed appends, delays and broken connections, from many seeds. */
import { describe, expect, test } from "bun:test";
import { PARTITIONS, SimClient } from "./group-client.ts";
import { GroupWorld, shownGroup } from "./group-world.ts";

const GROUPS = ["alpha", "beta", "gamma"];
const SEEDS = Number(process.env.GROUP_SIM_SEEDS ?? 40);
const FIRST_SEED = Number(process.env.GROUP_SIM_FIRST_SEED ?? 1);

/** Something happens to somebody. */
function disturb({ world, clients }: Play): void {
  const { random } = world;
  const roll = random(100);
  const client = clients[random(clients.length)]!;
  if (roll < 5) world.crash();
  else if (roll < 25) client.die();
  else if (roll < 40) client.leave();
  else if (roll < 60) client.resubscribe();
  else if (client.state === "gone") client.start();
}

interface Play {
  readonly world: GroupWorld;
  readonly clients: readonly SimClient[];
}

function populate(world: GroupWorld): SimClient[] {
  return Array.from({ length: 12 }, (_, i) => {
    const client = new SimClient(world, `c${i}`, GROUPS[i % GROUPS.length]!, i % 4 === 3 ? `static-${i}` : null);
    client.start();
    return client;
  });
}

function checkReplay(world: GroupWorld): void {
  const replayed = world.replayed();
  for (const groupId of GROUPS) {
    const live = world.shard.groups.get(groupId);
    expect(world.shard.offsets.topics(groupId)).toEqual(replayed.offsets.topics(groupId));
    if (live?.state === "Stable") expect(shownGroup(world.shard, groupId)).toEqual(shownGroup(replayed, groupId));
  }
}

function checkAcknowledged(world: GroupWorld): void {
  for (const [key, position] of world.acknowledged) {
    const [groupId, partition] = key.split("/");
    expect(world.positionOf(groupId!, Number(partition))).toBeGreaterThanOrEqual(position);
  }
}

/** All who live are in one stable generation, which gives out every partition once. */
function checkConverged(play: Play): void {
  for (const groupId of GROUPS) {
    const clients = play.clients.filter((client) => client.groupId === groupId && client.state !== "gone");
    if (clients.length === 0) continue;
    const group = play.world.shard.groups.get(groupId)!;
    expect(group.state).toBe("Stable");
    expect([...group.members.keys()].toSorted()).toEqual(clients.map((client) => client.memberId).toSorted());
    for (const client of clients) {
      expect(client.state).toBe("stable");
      expect(client.generationId).toBe(group.generationId);
    }
    const owned = clients.flatMap((client) => client.owns!).toSorted((a, b) => a - b);
    expect(owned).toEqual(Array.from({ length: PARTITIONS }, (_, p) => p));
  }
}

function play(seed: number): Play {
  const world = new GroupWorld(seed);
  const clients = populate(world);
  for (let i = 0; i < 60; i++) {
    world.run(world.random(3000));
    checkAcknowledged(world);
    checkReplay(world);
    disturb({ world, clients });
  }
  world.isRough = false;
  world.run(60_000);
  return { world, clients };
}

describe("groups under fire", () => {
  const totals = { steps: 0, crashes: 0, failedAppends: 0, generations: 0, commits: 0, brokenConnections: 0 };

  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    test(`seed ${seed}`, () => {
      const { world, clients } = play(seed);
      checkConverged({ world, clients });
      checkAcknowledged(world);
      checkReplay(world);
      for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += world.counts[key];

      // Everybody dies: in the end nobody is left, nobody waits, and nothing is set to happen.
      for (const client of clients) client.die();
      world.run(400_000);
      expect(world.waiting).toBe(0);
      expect(world.shard.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
      for (const group of world.shard.groups.values()) {
        expect([group.state, group.members.size, group.pending.size]).toEqual(["Empty", 0, 0]);
      }
      checkAcknowledged(world);
    });
  }

  test("was hot enough", () => {
    if (process.env.GROUP_SIM_VERBOSE) console.log(totals);
    expect(totals.crashes).toBeGreaterThan(SEEDS);
    expect(totals.failedAppends).toBeGreaterThan(SEEDS / 2);
    expect(totals.generations).toBeGreaterThan(SEEDS * 20);
    expect(totals.commits).toBeGreaterThan(SEEDS * 20);
    expect(totals.brokenConnections).toBeGreaterThan(SEEDS);
  });

  test("is the same for the same seed", () => {
    expect(play(7).world.transcript).toEqual(play(7).world.transcript);
  });
});
