/** The group coordinator under crashes, failed appends, delays and broken connections, from many seeds. */
import { describe, expect, test } from "bun:test";
import { ErrorCode } from "../../src/protocol/errors.ts";
import { PARTITIONS, SimClient } from "./group-client.ts";
import { GroupWorld, READ_TOPIC, shownGroup } from "./group-world.ts";

const GROUPS = ["alpha", "beta", "gamma"];
const SEEDS = Number(process.env.GROUP_SIM_SEEDS ?? 40);
const FIRST_SEED = Number(process.env.GROUP_SIM_FIRST_SEED ?? 1);

/** Something happens to somebody. */
function disturb({ world, clients }: Play): void {
  const { random } = world;
  const roll = random(100);
  const client = clients[random(clients.length)]!;
  if (random(3) === 0) administer(world);
  if (roll < 5) world.crash();
  else if (roll < 25) client.die();
  else if (roll < 40) client.leave();
  else if (roll < 60) client.resubscribe();
  else if (roll < 63)
    for (const each of clients)
      if (each.groupId === client.groupId) each.die();
      else if (client.state === "gone") client.start();
}

/** Somebody with a tool comes by. What is acknowledged as gone must be gone on the disk. */
function administer(world: GroupWorld): void {
  const groupId = GROUPS[world.random(GROUPS.length)]!;
  const topic = world.random(2) === 0 ? READ_TOPIC : "unread";
  const roll = world.random(10);
  if (roll < 3) {
    world.send({ kind: "delete", groupId }, (reply) => {
      if (reply?.kind !== "delete" || reply.errorCode !== ErrorCode.NONE) return;
      const removed = world.log.findLastIndex((record) => record.kind === "group" && record.groupId === groupId && !record.value);
      if (removed < 0 || removed >= world.durable) throw new Error(`${groupId} is said to be gone and is not on the disk`);
    });
  } else if (roll < 5) {
    const partitions = Array.from({ length: PARTITIONS }, (_, p) => p);
    world.send({ kind: "delete-offsets", groupId, topics: [{ topic, partitions }] }, () => {});
  } else if (roll < 6) world.send({ kind: "topics-deleted", topics: [{ name: topic, id: "x" }] }, () => {});
  else if (roll < 8) world.send({ kind: "describe", groupId }, () => {});
  else world.send({ kind: "list", states: roll === 8 ? ["stable"] : [], types: [] }, () => {});
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
    const [groupId, topic, partition] = key.split("/");
    expect(world.positionOf(groupId!, topic!, Number(partition))).toBeGreaterThanOrEqual(position);
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
  const totals: Record<string, number> = {};

  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    test(`seed ${seed}`, () => {
      const { world, clients } = play(seed);
      checkConverged({ world, clients });
      checkAcknowledged(world);
      checkReplay(world);

      // Everybody dies: in the end nobody and nothing is left, nobody waits, and nothing is set to happen.
      for (const client of clients) client.die();
      world.run(400_000);
      expect(world.waiting).toBe(0);
      expect(world.shard.wakeAtMs).toBe(Number.POSITIVE_INFINITY);
      expect([...world.shard.groups.keys()]).toEqual([]);
      expect([...world.shard.offsets.groupIds()]).toEqual([]);
      expect(world.memory.heldBytes).toBe(0);
      checkAcknowledged(world);
      checkReplay(world);
      const counts = { ...world.happened, ...world.counts };
      for (const [key, count] of Object.entries(counts)) totals[key] = (totals[key] ?? 0) + count;
    });
  }

  test("was hot enough", () => {
    if (process.env.GROUP_SIM_VERBOSE) console.log(totals);
    expect(totals.crashes).toBeGreaterThan(SEEDS);
    expect(totals.failedAppends).toBeGreaterThan(SEEDS / 2);
    expect(totals.generations).toBeGreaterThan(SEEDS * 12);
    expect(totals.commits).toBeGreaterThan(SEEDS * 12);
    expect(totals.brokenConnections).toBeGreaterThan(SEEDS);
    expect(totals.expiredOffsets).toBeGreaterThan(SEEDS * 5);
    expect(totals.removedGroups).toBeGreaterThan(SEEDS * 2);
  });

  test("is the same for the same seed", () => {
    expect(play(7).world.transcript).toEqual(play(7).world.transcript);
  });
});
