/**
 * Producers and consumers of every kind at random: each consumer gets every record once and in order, no more than what was
 * acknowledged or is on the disk, and no fetch sleeps while there is what it waits for.
 */
import { expect, test } from "bun:test";
import type { Fetch } from "../../src/protocol/messages/01-fetch.ts";
import type { Response } from "../../src/protocol/schema.ts";
import { type Asked, BrokerWorld } from "./broker-world.ts";
import { batchOf, create, type FetchOptions, partitionsOf, produce, sendFetch, valuesOf } from "./data-requests.ts";

const PARTITIONS = 4;
/** Longer than the whole run: a fetch that is answered was woken, not timed out. */
const FOREVER_MS = 1_000_000;
/** What a wake-up may take: a sync, and cold reads of all partitions. */
const PROMPTLY_MS = 100;

/** One consumer: it fetches again and again, as its kind does, and checks what it gets. */
class Consumer {
  readonly minBytes: number;
  readonly partitionMaxBytes: number;
  readonly maxBytes: number;
  readonly got: string[][] = Array.from({ length: PARTITIONS }, () => []);
  private readonly world: BrokerWorld;
  private readonly topicId: string | undefined;
  private readonly usesSession: boolean;
  private session: [number, number] = [0, -1];
  private moved = new Set<number>();
  waiting: Asked<typeof Fetch> | null = null;

  constructor(world: BrokerWorld, topicId: string) {
    const { random } = world;
    this.world = world;
    this.topicId = random.chance(0.5) ? topicId : undefined;
    this.usesSession = random.chance(0.6);
    this.minBytes = random.pick([1, 1, 300, 2000]);
    this.partitionMaxBytes = random.pick([1, 500, 5000, 100_000]);
    this.maxBytes = random.pick([1, 1000, 100_000]);
    if (this.usesSession) this.session = [0, 0];
  }

  get offsets(): number[] {
    return this.got.map(({ length }) => length);
  }

  /** Takes the answer, if there is one, and asks again. */
  step(): void {
    if (this.waiting !== null) {
      if (this.waiting.response === null) return;
      this.take(this.waiting.response);
    }
    this.waiting = sendFetch(this.world, this.next());
  }

  /** It has the beginning of what was sent, and waits only because the rest is less than it asked for. */
  check(sent: readonly string[][], where: string): void {
    this.got.forEach((got, index) => {
      expect(got, where).toEqual(sent[index]!.slice(0, got.length));
    });
    // DelayedFetch.tryComplete: no partition counts for more than may come of it.
    const missing = this.got.map((got, index) => bytesFrom(this.world, sent[index]!, got.length));
    const counted = missing.reduce((sum, bytes) => sum + Math.min(bytes, this.partitionMaxBytes), 0);
    expect(counted, where).toBeLessThan(Math.min(this.minBytes, this.maxBytes));
  }

  private next(): FetchOptions {
    const isFull = this.session[1] <= 0;
    const offsets: Record<number, number> = {};
    this.offsets.forEach((offset, index) => {
      if (isFull || this.moved.has(index)) offsets[index] = offset;
    });
    this.moved.clear();
    const { minBytes, maxBytes, partitionMaxBytes, topicId, session } = this;
    return {
      offsets,
      session,
      minBytes,
      maxBytes,
      partitionMaxBytes,
      maxWaitMs: FOREVER_MS,
      ...(topicId === undefined ? {} : { topicId }),
    };
  }

  private take(response: Response<typeof Fetch>): void {
    expect(response.errorCode).toBe(0);
    for (const { errorCode } of partitionsOf(response)) expect(errorCode).toBe(0);
    expect(partitionsOf(response).some(({ records }) => records!.length > 0)).toBeTrue(); // or why was it woken?
    for (const [index, values] of Object.entries(valuesOf(response))) {
      if (values.length > 0) this.moved.add(Number(index));
      this.got[Number(index)]!.push(...values);
    }
    if (this.usesSession) this.session = [response.sessionId, this.session[1] <= 0 ? 1 : this.session[1] + 1];
    // Now and then a client goes on in another way.
    if (this.usesSession && this.world.random.chance(0.05)) this.session = [response.sessionId, 0];
  }
}

async function everyRecordReachesEveryConsumer(seed: number): Promise<void> {
  const durability = seed % 4 === 0 ? "page-cache" : "sync";
  const world = new BrokerWorld(seed, { durability });
  const { random, clock, disk } = world;
  await world.start();
  const topicId = await create(world, PARTITIONS);
  const pause = disk.pause.bind(disk);
  disk.pause = (maxMs) => pause(maxMs < 1 && random.chance(0.3) ? 10 : maxMs); // some reads outlast some syncs
  const consumers = Array.from({ length: 6 }, () => new Consumer(world, topicId));
  const sent: string[][] = Array.from({ length: PARTITIONS }, () => []);
  const stepAll = (): void => {
    for (const consumer of consumers) consumer.step();
  };
  for (let burst = 0; burst < 12; burst++) {
    for (let i = random.int(12); i >= 0; i--) {
      const index = random.int(PARTITIONS);
      const text = `${burst}.${i} ${"x".repeat(random.int(400))}`;
      sent[index]!.push(text);
      produce(world, index, batchOf(world, text));
      if (random.chance(0.5)) await clock.advance(random.fraction() * 4);
      stepAll();
    }
    await comeToRest(world, consumers);
    for (const [n, consumer] of consumers.entries()) consumer.check(sent, `seed ${seed}, burst ${burst}, consumer ${n}`);
  }
  expect(world.fatal).toBeNull();
}

/** Goes on until nobody has an answer any more. */
async function comeToRest({ clock }: BrokerWorld, consumers: readonly Consumer[]): Promise<void> {
  for (let i = 0; i < 300; i++) {
    await clock.advance(PROMPTLY_MS);
    const before = consumers.map(({ waiting }) => waiting);
    for (const consumer of consumers) consumer.step();
    if (consumers.every(({ waiting }, n) => waiting === before[n])) return;
  }
  throw new Error("consumers go on fetching although nothing comes");
}

/** Bytes of the batches from the n-th on. */
const bytesFrom = (world: BrokerWorld, texts: readonly string[], n: number): number =>
  texts.slice(n).reduce((sum, text) => sum + batchOf(world, text).length, 0);

const seeds = Number(process.env.SIM_SEEDS ?? 60);
test(`every record reaches every consumer, once, in order, promptly (${seeds} seeds)`, async () => {
  for (let seed = 1; seed <= seeds; seed++) await everyRecordReachesEveryConsumer(seed);
}, 120_000);
