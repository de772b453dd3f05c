/**
 * Configs under crashes, against a model in memory: random changes of topics, brokers and groups, several at a time, and deaths at any moment.
 * What was acknowledged is set after every start, what was not is set whole or not at all, and what is in effect follows from what is set.
 */
import { expect, test } from "bun:test";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { DescribeConfigs } from "../../src/protocol/messages/32-describe-configs.ts";
import { IncrementalAlterConfigs } from "../../src/protocol/messages/44-incremental-alter-configs.ts";
import { type Asked, BrokerWorld } from "./broker-world.ts";

const SEEDS = 60;
const ROUNDS = 6;

/** The resources that are changed, with two names each and the config source by which DescribeConfigs tells what is set for them. */
const RESOURCES = [
  { type: 2, name: "a", source: 1, configs: ["segment.ms", "flush.ms"] },
  { type: 2, name: "b", source: 1, configs: ["segment.ms", "flush.ms"] },
  { type: 4, name: "", source: 3, configs: ["log.roll.ms", "log.flush.interval.ms"] },
  { type: 4, name: "0", source: 2, configs: ["log.roll.ms", "log.flush.interval.ms"] },
  { type: 32, name: "g", source: 8, configs: ["share.record.lock.duration.ms", "share.delivery.count.limit"] },
] as const;
type Resource = (typeof RESOURCES)[number];

/** Values that each config may have: the limits of share groups are narrow. */
const VALUES: Record<string, readonly string[]> = {
  "share.record.lock.duration.ms": ["15000", "20000", "60000"],
  "share.delivery.count.limit": ["2", "5", "10"],
};

type Texts = Record<string, string>;
/** What may be set: one state, or several while it is open what became of a change. */
type Model = Map<Resource, Texts[]>;

const described = async (world: BrokerWorld, { type, name, source }: Resource): Promise<Texts> => {
  const resources = [{ resourceType: type, resourceName: name, configurationKeys: null }];
  const { results } = await world.ask(DescribeConfigs, { resources, includeSynonyms: true, includeDocumentation: false });
  expect(results[0]!.errorCode).toBe(0);
  const set = results[0]!.configs.flatMap((entry) => {
    const own = entry.synonyms.find((synonym) => synonym.source === source && synonym.name === entry.name);
    return own === undefined ? [] : [[entry.name, own.value!]];
  });
  return Object.fromEntries(set);
};

const inOrder = (texts: Texts): string => JSON.stringify(Object.entries(texts).sort());

/** Compares everything with the model, which knows more afterwards. */
async function check(world: BrokerWorld, model: Model, seed: number): Promise<void> {
  for (const [resource, states] of model) {
    const found = await described(world, resource);
    expect([seed, resource.name, states.map(inOrder)]).toEqual([seed, resource.name, expect.arrayContaining([inOrder(found)])]);
    model.set(resource, [found]);
  }
  const setFor = (at: number): Texts => model.get(RESOURCES[at]!)![0]!;
  for (const at of [0, 1]) {
    const topic = world.broker.image.topicByName(RESOURCES[at]!.name)!;
    const { segmentMs, flushMs } = world.broker.topicConfig(topic.id);
    const expected = (own: string, server: string, byDefault: number) =>
      Number(setFor(at)[own] ?? setFor(3)[server] ?? setFor(2)[server] ?? byDefault);
    expect([seed, segmentMs]).toEqual([seed, expected("segment.ms", "log.roll.ms", world.config.logSegmentMs)]);
    expect([seed, flushMs]).toEqual([seed, expected("flush.ms", "log.flush.interval.ms", 2 ** 63)]);
  }
}

/** Sends one change of a resource; afterwards the model holds what may have become of it. */
function change(world: BrokerWorld, model: Model, resource: Resource): Asked<typeof IncrementalAlterConfigs> {
  const { random } = world;
  const names = resource.configs.filter(() => random.chance(0.7));
  const before = model.get(resource)!;
  let after = before;
  const configs = names.map((name) => {
    const value = random.chance(0.3) ? null : random.pick(VALUES[name] ?? [String(1 + random.int(1_000_000))]);
    after = after.map((texts) => {
      const { [name]: _, ...rest } = texts;
      return value === null ? rest : { ...rest, [name]: value };
    });
    return { name, configOperation: value === null ? 1 : 0, value };
  });
  const asked = world.send(IncrementalAlterConfigs, 1, {
    validateOnly: false,
    resources: [{ resourceType: resource.type, resourceName: resource.name, configs }],
  });
  model.set(resource, [...before, ...after]);
  const life = world.lives;
  void asked.ended.then(() => {
    if (life === world.lives && asked.response?.responses[0]?.errorCode === 0) model.set(resource, after);
  });
  return asked;
}

async function history(seed: number): Promise<void> {
  const world = new BrokerWorld(seed);
  await world.start();
  const topics = ["a", "b"].map((name) => ({ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] }));
  await world.ask(CreateTopics, { topics, timeoutMs: 1000 });
  const model: Model = new Map(RESOURCES.map((resource) => [resource, [{}]]));
  for (let round = 0; round < ROUNDS; round++) {
    const changes = RESOURCES.filter(() => world.random.chance(0.8)).map((resource) => change(world, model, resource));
    if (world.random.chance(0.5)) {
      await world.clock.run(Promise.all(changes.map(({ ended }) => ended)));
      for (const { response } of changes) expect([seed, response?.responses[0]?.errorMessage]).toEqual([seed, null]);
    } else {
      await world.clock.advance(world.random.int(4));
      world.crash(world.random.chance(0.5) ? "power" : "kill");
      await world.start();
    }
    await check(world, model, seed);
  }
  expect(world.fatal).toBeNull();
}

test(`${SEEDS} histories of changes and crashes`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) await history(seed);
}, 60_000);
