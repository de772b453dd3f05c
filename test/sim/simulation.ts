/**
 * One history of a whole broker from one seed: clients of every kind, faults of the disk, deaths at any moment, and everything that must
 * hold at any of them. The checks by name are in simulation/history.ts.
 */

import { silentLogger } from "../../src/base/logger.ts";
import { Broker } from "../../src/broker/broker.ts";
import { ErrorCode } from "../../src/protocol/errors.ts";
import { Fetch } from "../../src/protocol/messages/01-fetch.ts";
import { FindCoordinator } from "../../src/protocol/messages/10-find-coordinator.ts";
import { CreateTopics } from "../../src/protocol/messages/19-create-topics.ts";
import { BrokerWorld } from "./broker-world.ts";
import { SeededRandom } from "./seeded-random.ts";
import { Admin, Observer, TEMPORARY, Trimmer } from "./simulation/admin.ts";
import { type Actor, Arena } from "./simulation/arena.ts";
import { Keeper } from "./simulation/compacted.ts";
import { Consumer, takeRecords } from "./simulation/consumers.ts";
import { type CheckName, History, Violation } from "./simulation/history.ts";
import { Committer, GroupModel, Member, PARTITIONS } from "./simulation/members.ts";
import type { PartitionModel } from "./simulation/partition-model.ts";
import { IdempotentProducer, PlainProducer, STAYS } from "./simulation/producers.ts";
import { kept, leftOver } from "./simulation/remains.ts";
import { configsOf, TopicsModel } from "./simulation/topics-model.ts";
import { TransactionalProducer } from "./simulation/transactional.ts";
import type { Place } from "./simulation/transactions-model.ts";

export interface Outcome {
  readonly seed: number;
  readonly digest: string;
  readonly lines: readonly string[];
  readonly violation: Violation | null;
  /** How often each check looked at something. */
  readonly looked: ReadonlyMap<CheckName, number>;
}

/** What a topic's configs may let go. */
const RETENTIONS = [
  { ms: 50, bytes: null },
  { ms: 3000, bytes: null },
  { ms: null, bytes: 0 },
  { ms: null, bytes: 8000 },
  { ms: 500, bytes: 12_000 },
];

type Death = "kill" | "power" | "stop" | "failed sync";

/** Runs the history of `seed`. Never rejects: what goes wrong is in the outcome. */
export async function simulate(seed: number): Promise<Outcome> {
  const simulation = new Simulation(seed);
  const { history } = simulation;
  try {
    await simulation.run();
  } catch (error) {
    if (!(error instanceof Violation)) {
      history.check("no error without a cause", false, () =>
        error instanceof Error ? (error.stack ?? error.message) : String(error),
      );
    }
  }
  return { seed, digest: history.digest(), lines: history.lines, violation: history.violation, looked: history.looked };
}

class Simulation {
  readonly history: History;
  private readonly world: BrokerWorld;
  private readonly arena: Arena;
  private readonly random: SeededRandom;
  private readonly observer: Observer;
  private readonly keeper: Keeper;
  private readonly admin: Admin;
  private readonly consumers: Consumer[] = [];
  private readonly members: Member[] = [];
  private readonly groups: GroupModel[] = [];
  private readonly transactional: TransactionalProducer[] = [];
  /** Everybody, some of them more than once: those act more often. */
  private readonly actors: Actor[] = [];
  /** Those of them that write to topics, if any do. */
  private readonly writers: Actor[] = [];
  private readonly isPageCache: boolean;

  constructor(seed: number) {
    const random = new SeededRandom(seed * 7919 + 13);
    this.random = random;
    this.isPageCache = random.chance(0.1);
    this.world = new BrokerWorld(seed, {
      durability: this.isPageCache ? "page-cache" : "sync",
      logSegmentBytes: random.pick([6_000, 20_000]),
      logIndexIntervalBytes: random.pick([0, 500, 4096]),
      recoveryPointIntervalMs: random.pick([0, 5, 1000]),
      syncFsThreshold: random.pick([0, 3, 1000]),
      journalBytes: [0, 20, 60][seed % 3]! * 1024,
      journalThreshold: seed % 4 === 3 ? 0 : 2,
      logRetentionCheckIntervalMs: random.pick([100, 1000, 7000]),
      logSegmentDeleteDelayMs: random.pick([0, 10, 1000]),
      logCleanerBackoffMs: random.pick([30, 1000]),
      logCleanerDedupeBufferBytes: random.pick([100, 10_000]),
      transactionStateNumPartitions: 2,
      transactionAbortIntervalMs: random.pick([40, 1000]),
    });
    this.world.unpacking = { laterChance: random.pick([0, 0, 0.3, 1]), maxMs: random.pick([1, 20]) };
    this.history = new History(this.world.clock);
    this.arena = new Arena(this.world, this.history, new TopicsModel(this.history), random);
    for (const name of [STAYS, ...TEMPORARY])
      if (random.chance(0.5)) this.arena.topics.retention.set(name, random.pick(RETENTIONS));
    const given = new Set<number>();
    this.observer = new Observer(this.arena, "observer", given);
    this.keeper = new Keeper(this.arena);
    this.admin = new Admin(this.arena, "admin");
    this.gather(given);
    this.world.onUnexpected = (error) => {
      this.history.check("no error without a cause", false, () => String((error as Error).stack));
    };
    this.slowDown();
  }

  async run(): Promise<void> {
    await this.begin();
    for (let lives = 1 + this.random.int(4); lives > 0; lives--) {
      await this.live(10 + this.random.int(64));
      await this.die(lives === 1 ? "stop" : this.pickDeath());
      await this.start();
      await this.lookBack();
    }
    await this.end();
  }

  /** Not everybody takes part in every history. */
  private gather(given: Set<number>): void {
    const { arena, random, actors, observer, keeper } = this;
    const add = (times: number, ...some: Actor[]): void => {
      const weight = random.chance(0.15) ? 0 : times;
      for (let i = 0; i < weight; i++) actors.push(...some);
    };
    add(4, new PlainProducer(arena, "p1"), new PlainProducer(arena, "p2"));
    add(4, new IdempotentProducer(arena, "i1", given), new IdempotentProducer(arena, "i2", given));
    this.writers.push(...actors);
    this.transactional.push(
      new TransactionalProducer(arena, "t1", { keeper, given, isNewProtocol: false }),
      new TransactionalProducer(arena, "t2", { keeper, given, isNewProtocol: true }),
    );
    add(5, ...this.transactional);
    this.consumers.push(...["c1", "c2", "c3", "c4"].map((name) => new Consumer(arena, name)));
    add(2, ...this.consumers);
    const lone = new GroupModel(arena, "lone");
    const group = new GroupModel(arena, "group");
    this.groups.push(lone, group);
    add(2, new Committer(arena, "committer", lone));
    this.members.push(...[null, null, "static"].map((id, i) => new Member(arena, `m${i}`, group, id)));
    add(3, ...this.members);
    add(2, this.admin);
    if (random.chance(0.5)) add(1, new Trimmer(arena, "trimmer"));
    add(2, observer);
    add(4, keeper);
    if (actors.length === 0) actors.push(observer);
    if (this.writers.length === 0) this.writers.push(observer);
  }

  /** Now and then a call of the disk takes longer, and more or fewer pages are in memory. */
  private slowDown(): void {
    const { disk, random: itsOwn } = this.world;
    const pause = disk.pause.bind(disk);
    const slowness = this.random.pick([0, 0.1, 0.5]);
    const slownessOfReads = this.random.pick([0, 0.5, 1]);
    const heat = this.random.pick([0, 0.5, 1]);
    disk.pause = (maxMs) => pause(itsOwn.chance(maxMs < 1 ? slownessOfReads : slowness) ? 10 : maxMs);
    disk.isHot = () => itsOwn.chance(heat);
  }

  private async begin(): Promise<void> {
    const { world, arena } = this;
    await this.start();
    const configs = configsOf(arena.topics.retention.get(STAYS));
    const topics = [{ name: STAYS, numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs }];
    const created = await world.ask(CreateTopics, { topics, timeoutMs: 1000 });
    await this.keeper.begin();
    arena.topics.created({ name: STAYS, id: created.topics[0]!.topicId, partitions: PARTITIONS }, 0);
    await world.ask(FindCoordinator, { keyType: 0, coordinatorKeys: this.groups.map(({ id }) => id) });
    const coordinatorKeys = this.transactional.filter((one) => this.actors.includes(one)).map(({ name }) => name);
    if (coordinatorKeys.length > 0) await world.ask(FindCoordinator, { keyType: 1, coordinatorKeys });
  }

  /** Lets the clients do so many things. */
  private async live(steps: number): Promise<void> {
    const { random, actors, world } = this;
    for (let i = 0; i < steps; i++) {
      random.pick(actors).step();
      if (random.chance(0.03)) this.breakDisk();
      else if (random.chance(0.2)) this.mendDisk();
      if (random.chance(0.5)) await this.pass(random.fraction() * 5);
      if (random.chance(0.06)) await this.rest();
      if (random.chance(0.01)) await this.pass(7_000); // sessions of members end
      this.holds();
    }
    await world.clock.advance(0);
  }

  private async pass(ms: number): Promise<void> {
    await this.world.clock.advance(ms);
    this.holds();
  }

  /** A last burst, into which one more begins to read, and then nobody does anything for a while: who still waits has not enough to be answered with. */
  private async rest(): Promise<void> {
    for (let i = this.random.int(5); i > 0; i--) {
      this.random.pick(this.consumers).step();
      this.random.pick(this.actors).step();
      await this.pass(this.random.fraction() * 3);
    }
    const late = new Consumer(this.arena, "late", { isLate: true });
    late.step();
    for (let i = this.random.int(4); i > 0; i--) {
      await this.pass(this.random.fraction() * 4);
      this.random.pick(this.writers).step();
    }
    await this.pass(20);
    const all = [...this.consumers, late];
    for (const consumer of all) consumer.beginWatch();
    await this.pass(400);
    for (const consumer of all) consumer.endWatch();
  }

  private breakDisk(): void {
    const { world, random, arena, history } = this;
    arena.mayRefuse = true;
    if (random.chance(0.5)) {
      world.disk.capacityBytes = world.disk.usedBytes() + random.int(300);
      history.note("the disk is full");
      return;
    }
    history.note("writes fail now and then");
    world.disk.fault = (operation, _path, bytes) =>
      operation === "write" && random.chance(0.3) ? { code: "ENOSPC", written: random.int(bytes + 1) } : null;
  }

  private mendDisk(): void {
    const { disk } = this.world;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    disk.fault = null;
  }

  private pickDeath(): Death {
    // What page-cache mode acknowledges, a power cut may take.
    if (this.isPageCache) return this.random.pick(["kill", "stop"]);
    return this.random.pick(["power", "power", "power", "kill", "stop", "failed sync"]);
  }

  private async die(how: Death): Promise<void> {
    const { world, arena, history, random } = this;
    if (random.chance(0.2)) {
      this.admin.growSome();
      await this.pass(random.fraction() * 6);
    }
    history.note(`-- ${how}, ${arena.unanswered.length} unanswered, ${world.disk.calls} calls`);
    if (how === "stop") await this.stop();
    else {
      if (how === "failed sync") await this.failSync();
      // A supervisor starts it again on the same machine, whose memory is not to be believed.
      const isKill = how === "kill" || (how === "failed sync" && world.lives % 2 === 0);
      world.crash(isKill ? "kill" : "power");
    }
    arena.hangUp();
    this.mendDisk();
    world.fatal = null;
    arena.mayRefuse = false;
    arena.abandonedSessions = 0;
    this.holds();
  }

  private async stop(): Promise<void> {
    const { world, arena, history, random } = this;
    this.mendDisk();
    arena.mayRefuse = true;
    const closing = world.broker.close();
    closing.catch(() => {});
    if (random.chance(0.2) && !this.isPageCache) {
      // The stop itself is interrupted.
      await world.clock.advance(random.fraction() * 12);
      const how = random.pick(["kill", "power"] as const);
      history.note(`-- ${how} while it stops, ${world.disk.calls} calls`);
      world.crash(how);
      return;
    }
    await world.clock.run(closing);
    await world.clock.advance(100); // reads that were under way
    history.check("every request ends", arena.unanswered.length === 0, () => `${arena.unanswered.join(", ")} at a stop`);
    history.check("no file stays open", world.disk.openFiles === 0, () => `${world.disk.openFiles} after a stop`);
    world.lives++;
    world.clock.reset();
  }

  /** The next sync fails: the process has to end, and nobody is told that anything was written. */
  private async failSync(): Promise<void> {
    const { world, history, random, arena } = this;
    let failed = false;
    arena.mayRefuse = true;
    world.disk.fault = (operation) => {
      if (operation !== "fdatasync" && operation !== "fsync" && operation !== "syncfs") return null;
      failed = true;
      return { code: "EIO" };
    };
    for (let i = 0; i < 10; i++) {
      random.pick(this.actors).step();
      await this.world.clock.advance(random.fraction() * 5);
    }
    const { fatal } = world;
    history.check("the process ends after a failed sync, and only then", !failed || fatal !== null, () => "it goes on");
    world.fatal = null;
  }

  /** Starts the broker; now and then it dies while it starts, and is started again. */
  private async start(): Promise<void> {
    const { world, random, history } = this;
    while (random.chance(0.15) && !this.isPageCache) {
      const { config, clock, disk } = world;
      Broker.open({ config, clock, disk, random: world.random, logger: silentLogger, onFatal() {} }).catch(() => {});
      await clock.advance(random.fraction() * 12);
      const how = random.pick(["kill", "power"] as const);
      history.note(`-- ${how} while it starts, ${disk.calls} calls`);
      world.crash(how);
    }
    try {
      await world.start();
    } catch (error) {
      history.check("it starts on whatever it left", false, () => String((error as Error).stack));
    }
    history.check("it starts on whatever it left", true, () => "");
    history.note(`-- started, ${world.disk.calls} calls`);
    this.holds();
  }

  /** After a start: everything that was acknowledged or shown is there. */
  private async lookBack(): Promise<void> {
    const { arena, groups, observer, random } = this;
    await this.heard((done) => observer.listTopics(done));
    arena.topics.settle();
    for (const topic of arena.topics.live) for (const partition of topic.partitions) await this.readAll(partition);
    await this.keeper.lookBack();
    this.holds();
    for (const group of groups) group.fetch("look back");
    for (const producer of this.transactional) if (producer.hasOffsets) producer.fetchOffsets(random.chance(0.5));
    await this.pass(50);
  }

  private async readAll(partition: PartitionModel): Promise<void> {
    const { arena, world } = this;
    const texts: string[] = [];
    const floor = partition.shownEnd;
    const stableFloor = partition.shownStableEnd;
    let isCommitted = true; // as far as that goes; then all the rest
    const log = () => world.broker.partitionById(partition.topicId, partition.index)!;
    const start = log().logStartOffset;
    partition.showStart(start, partition.shownStart);
    for (let position = start; ; ) {
      const named = {
        topic: "",
        topicId: partition.topicId,
        partitions: [{ partition: partition.index, fetchOffset: position, partitionMaxBytes: 10_000 }],
      };
      const request = {
        maxWaitMs: 0,
        minBytes: 0,
        isolationLevel: isCommitted ? 1 : 0,
        topics: [named],
        forgottenTopicsData: [],
      };
      const { responses } = await world.ask(Fetch, request, 16);
      const answer = responses[0]!.partitions[0]!;
      if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE && position < log().logStartOffset) return this.readAll(partition);
      arena.checkCode(`look back at ${partition.name}`, answer.errorCode, []);
      this.holds();
      if (answer.errorCode !== 0) return;
      const next = takeRecords(arena, partition, answer, position, isCommitted);
      this.holds();
      for (let offset = position; offset < next; offset++) texts.push(partition.known[offset]!);
      if (next === position && isCommitted) {
        partition.showStable(answer.lastStableOffset, stableFloor);
        isCommitted = false;
      } else if (next === position) {
        partition.showHighWatermark(answer.highWatermark, floor);
        arena.history.check(
          "offsets have no gap",
          next === answer.highWatermark,
          () => `${partition.name} can be read up to ${next}, not ${answer.highWatermark}`,
        );
        break;
      }
      position = next;
    }
    partition.checkWhole(start, texts);
    this.holds();
  }

  /** Moves time on until something has called back. */
  private async heard(run: (done: () => void) => void): Promise<void> {
    await this.world.clock.run(new Promise<void>((resolve) => run(resolve)));
    this.holds();
  }

  /** Everybody goes home; what is left then is a leak. */
  private async end(): Promise<void> {
    const { world, arena, history, consumers, members, observer } = this;
    await this.live(30);
    this.mendDisk();
    await this.pass(25_000);
    for (const member of members) member.leave();
    for (const consumer of consumers) consumer.leave();
    await this.pass(25_000);
    history.check("every request ends", arena.unanswered.length === 0, () => arena.unanswered.join(", "));
    await this.heard((done) => observer.listTopics(done));
    arena.topics.settle();
    await this.checkTransactions();
    const left = arena.abandonedSessions > 0 ? [] : kept(world, arena.topics.live);
    history.check("nothing is kept for nobody", left.length === 0, () => left.join(", "));
    const names = leftOver(world.disk, world.config.dataDir, arena.topics.live);
    history.check("nothing is left in the data directory", names.length === 0, () => names.join(", "));
    await this.die("stop");
  }

  /** The disk is well again and much time has passed: all transactions have ended, and those that were committed are there. */
  private async checkTransactions(): Promise<void> {
    const { arena, history, transactional, world, keeper } = this;
    for (const topic of arena.topics.live)
      for (const partition of topic.partitions) {
        const { lastStableOffset, highWatermark } = world.broker.partitionById(partition.topicId, partition.index)!;
        history.check(
          "every transaction ends",
          lastStableOffset === highWatermark,
          () => `${partition.name} is stable up to ${lastStableOffset} of ${highWatermark}`,
        );
      }
    history.check("every transaction ends", keeper.isStable, () => "one goes on in the compacted topic");
    await keeper.lookBack();
    for (const producer of transactional.filter(({ hasOffsets }) => hasOffsets)) {
      let isAnswered = false;
      await this.heard((done) =>
        producer.fetchOffsets(true, (answered) => {
          isAnswered = answered;
          done();
        }),
      );
      history.check("every transaction ends", isAnswered, () => `the offsets of ${producer.name} stay unstable`);
    }
    // What is read in one partition may tell that a transaction was committed, which is to be seen in others then.
    const unread = new Set(arena.topics.live.flatMap(({ partitions }) => partitions));
    for (;;) {
      const next = [...unread].find((partition) => arena.transactions.isUnseen(partition));
      if (next === undefined) break;
      unread.delete(next);
      await this.readAll(next);
    }
    arena.transactions.checkWhole((place) => this.boundsOf(place));
  }

  private boundsOf({ topicId, index }: Place) {
    return this.world.broker.partitionById(topicId, index) ?? null;
  }

  /** What must hold at every moment. Throws what was violated, here or in a callback before. */
  private holds(): void {
    const { world, history, arena } = this;
    const { fatal } = world;
    history.check("the process ends after a failed sync, and only then", fatal === null, () =>
      String((fatal as Error).stack ?? fatal),
    );
    arena.transactions.checkOpen(world.clock.nowMs(), (place) => this.boundsOf(place));
    for (const topic of arena.topics.present) {
      for (const { topicId, index, name } of topic.partitions) {
        const partition = world.broker.partitionById(topicId, index);
        if (partition === undefined) continue;
        const { highWatermark, logEndOffset, lastStableOffset, logStartOffset } = partition;
        history.check(
          "the high watermark lies within the log",
          logStartOffset <= lastStableOffset && lastStableOffset <= highWatermark && highWatermark <= logEndOffset,
          () => `${name}: ${logStartOffset} ≤ ${lastStableOffset} ≤ ${highWatermark} ≤ ${logEndOffset}`,
        );
      }
    }
    if (history.violation !== null) throw history.violation;
  }
}
