/** The coordinator of the consumer protocol under crashes, failed appends, delays, broken connections and changing topics, from many seeds. */
import { describe, expect, test } from "bun:test";
import type { GroupShard } from "../../src/group/shard.ts";
import { ConsumerClient, type Wish } from "./consumer-client.ts";
import { ConsumerWorld } from "./consumer-world.ts";

const GROUPS = ["alpha", "beta"];
const SEEDS = Number(process.env.GROUP_SIM_SEEDS ?? 25);
const FIRST_SEED = Number(process.env.GROUP_SIM_FIRST_SEED ?? 1);

const WISHES: readonly Wish[] = [
  { names: ["a-1", "b"] },
  { names: ["a-1", "b"] },
  { names: ["b"] },
  { regex: "a-.*" },
  { names: ["later"] },
  { names: [] },
];

interface Play {
  readonly world: ConsumerWorld;
  readonly clients: readonly ConsumerClient[];
}

function populate(world: ConsumerWorld): ConsumerClient[] {
  // One group mixes subscriptions, in the other all read the same.
  const clients = Array.from({ length: 10 }, (_, i) => {
    const wish = i % 2 === 0 ? WISHES[0]! : WISHES[world.random(WISHES.length)]!;
    return new ConsumerClient(world, `c${i}`, GROUPS[i % 2]!, i % 5 === 3 ? `static-${i}` : null, wish);
  });
  for (const client of clients) {
    client.others = clients;
    client.start();
  }
  return clients;
}

/** Something happens to somebody, or to a topic. */
function disturb({ world, clients }: Play): void {
  const { random, topics } = world;
  const roll = random(100);
  const client = clients[random(clients.length)]!;
  if (roll < 5) world.crash();
  else if (roll < 20) client.die();
  else if (roll < 35) client.leave();
  else if (roll < 45 && client.groupId === "beta") client.resubscribe(WISHES[random(WISHES.length)]!);
  else if (roll < 50) topics.set({ b: topics.topicByName("b")!.partitionCount + 1 });
  else if (roll < 55) topics.set({ [`a-${3 + random(3)}`]: 2, later: 2 });
  else if (roll < 58) topics.delete(`a-${2 + random(4)}`);
  else if (!client.isAlive) client.start();
}

const described = (shard: GroupShard, groupId: string): unknown => {
  const group = shard.consumers.get(groupId);
  if (group === undefined) return null;
  const { epoch, assignmentEpoch, assignedMs, metadataHash, members, resolved, subscriptions } = group;
  const targets = [...members.keys()].map((memberId) => [memberId, group.writtenTarget(memberId)]).sort();
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const counts = [sorted(subscriptions.topics), sorted(subscriptions.regexes), subscriptions.members];
  return {
    epoch,
    assignmentEpoch,
    assignedMs,
    metadataHash,
    members: sorted(members),
    resolved: sorted(resolved),
    targets,
    counts,
  };
};

function check(world: ConsumerWorld, withCompacted: boolean): void {
  const logs = withCompacted ? [world.replayed(), world.replayed(world.compactedLog())] : [world.replayed()];
  for (const replayed of logs)
    for (const groupId of GROUPS) expect(described(replayed, groupId)).toEqual(described(world.shard, groupId));
  for (const [key, position] of world.acknowledged) {
    const [groupId, topic, partition] = key.split("/");
    const newest = world.log.findLastIndex(
      (record) =>
        record.kind === "offset" &&
        record.groupId === groupId &&
        record.topic === topic &&
        record.partition === Number(partition) &&
        record.value !== null,
    );
    expect(newest).toBeGreaterThanOrEqual(position);
  }
}

/** All who live are settled in one epoch, and have every partition that one of them reads, once. */
function checkConverged({ world, clients }: Play): void {
  for (const groupId of GROUPS) {
    const alive = clients.filter((client) => client.groupId === groupId && client.isAlive);
    if (alive.length === 0) continue;
    const group = world.group(groupId)!;
    expect([groupId, group.state]).toEqual([groupId, "Stable"]);
    expect([...group.members.keys()].sort()).toEqual(alive.map(({ memberId }) => memberId).sort());
    for (const client of alive) expect([client.name, client.isSettled, client.epoch]).toEqual([client.name, true, group.epoch]);
    const wanted = new Set<string>();
    for (const { wish } of alive) {
      const names =
        "names" in wish ? wish.names : [...world.topics.names()].filter((name) => new RegExp(`^(?:${wish.regex})$`).test(name));
      for (const name of names) {
        const topic = world.topics.topicByName(name);
        for (let partition = 0; partition < (topic?.partitionCount ?? 0); partition++) wanted.add(`${topic!.id}/${partition}`);
      }
    }
    expect(alive.flatMap(({ owns }) => [...owns]).sort()).toEqual([...wanted].sort());
  }
}

function play(seed: number): Play {
  const world = new ConsumerWorld(seed);
  const clients = populate(world);
  for (let i = 0; i < 60; i++) {
    world.run(world.random(3000));
    check(world, i % 10 === 0);
    disturb({ world, clients });
  }
  world.isRough = false;
  world.run(60_000);
  return { world, clients };
}

describe("groups of the consumer protocol under fire", () => {
  const totals: Record<string, number> = {};

  for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
    test(`seed ${seed}`, () => {
      const { world, clients } = play(seed);
      checkConverged({ world, clients });
      check(world, true);
      const counts = { ...world.happened, ...world.counts };
      for (const [key, count] of Object.entries(counts)) totals[key] = (totals[key] ?? 0) + count;

      // Everybody dies: in the end nobody is left, nobody waits, and nothing is set to happen but the look for expired offsets.
      for (const client of clients) client.die();
      world.run(100_000);
      expect(world.waiting).toBe(0);
      for (const groupId of GROUPS) expect(world.group(groupId)?.state ?? "Empty").toBe("Empty");
      expect(world.shard.wakeAtMs).toBeGreaterThan(world.nowMs + 10_000);
      world.shard.unload();
      expect(world.memory.heldBytes).toBe(0);
    });
  }

  test("was hot enough", () => {
    if (process.env.GROUP_SIM_VERBOSE) console.log(totals);
    expect(totals.crashes).toBeGreaterThan(SEEDS);
    expect(totals.failedAppends).toBeGreaterThan(SEEDS / 2);
    expect(totals.epochs).toBeGreaterThan(SEEDS * 20);
    expect(totals.commits).toBeGreaterThan(SEEDS * 20);
    expect(totals.fenced).toBeGreaterThan(SEEDS);
    expect(totals.brokenConnections).toBeGreaterThan(SEEDS);
  });

  test("is the same for the same seed", () => {
    expect(play(7).world.transcript).toEqual(play(7).world.transcript);
  });
});
