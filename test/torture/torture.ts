/** What a torture is: a name, what it needs of the machine, and one bounded run from a seed. */

import type { SeededRandom } from "../sim/seeded-random.ts";
import { type Settings, startTarget, type Target } from "../support/target.ts";
import { sleep } from "../support/until.ts";
import { Client } from "./client.ts";
import { Transactions, transactionSettings } from "./committed.ts";
import { check, Load, View } from "./load.ts";

export interface Run {
  readonly seed: number;
  readonly random: SeededRandom;
  /** How many cycles: kills, cuts, damages, frames by the hundred. */
  readonly cycles: number;
  /** Begin no cycle after this. */
  readonly deadlineMs: number;
  /** Called at the end of the run, the last one first; also after a failure. */
  cleanUp(work: () => Promise<unknown>): void;
}

export interface Torture {
  readonly name: string;
  /** Of one run in the bounded share, and of one in the endless loop. */
  readonly cycles: { readonly bounded: number; readonly endless: number };
  /** Why this machine cannot do it; null when it can. */
  missing?(): Promise<string | null>;
  /** Resolves to what was done ("25 cycles, 10412 records"); rejects with what was found. */
  run(run: Run): Promise<string>;
}

/** Whether another cycle begins. */
export const goesOn = (run: Run, done: number): boolean => done < run.cycles && Date.now() < run.deadlineMs;

export interface SceneOptions {
  dataDir?: string;
  settings?: Settings;
  /** Partitions that transactions write to; 0 for none. */
  transactional?: number;
}

/** A broker under three loads, one idempotent, one plain, one of transactions, and two consumers that follow: of all, and of what is committed. */
export class Scene {
  readonly target: Target;
  readonly topic = "torture";
  readonly loads: Load[];
  readonly view: View;
  readonly transactions: Transactions | null;

  private constructor(target: Target, loads: Load[], view: View, transactions: Transactions | null) {
    this.target = target;
    this.loads = loads;
    this.view = view;
    this.transactions = transactions;
  }

  static async open(run: Run, partitions: number, { dataDir, settings = {}, transactional = 6 }: SceneOptions = {}) {
    // Small segments and frequent recovery points: everything that happens seldom happens in every run.
    const small = {
      "log.segment.bytes": "65536",
      "log.roll.ms": "700",
      "log.flush.offset.checkpoint.interval.ms": "100",
    };
    // In half of the runs a journal serves from the beginning.
    const journal = run.random.chance(0.5)
      ? { "broker.journal_threshold": "0", "broker.journal_bytes": run.random.pick(["49152", "1048576"]) }
      : {};
    const target = await startTarget({
      ...(dataDir ? { dataDir } : {}),
      settings: { ...small, ...journal, ...transactionSettings, ...settings },
    });
    run.cleanUp(() => target.destroy());
    const loads = [true, false].map((idempotent) => {
      return new Load(target.port, {
        topic: "torture",
        partitions,
        idempotent,
        random: run.random,
        spread: Math.ceil(partitions / 2),
      });
    });
    const transactions = transactional > 0 ? new Transactions(target.port, transactional, run.random) : null;
    const scene = new Scene(target, loads, new View(target.port, "torture", partitions), transactions);
    const client = await Client.open(target.port);
    await client.createTopic("torture", partitions);
    if (transactions !== null) await client.createTopic(transactions.topic, transactions.partitions);
    client.close();
    run.cleanUp(async () => {
      for (const load of scene.#all) await Promise.race([load.stop().catch(() => {}), sleep(2000)]);
    });
    for (const load of scene.#all) load.start();
    return scene;
  }

  /** What goes on all the time. */
  get #all(): (Load | Transactions)[] {
    return this.transactions === null ? this.loads : [...this.loads, this.transactions];
  }

  get acknowledged(): number {
    return this.loads.reduce((sum, load) => sum + load.acknowledged, 0);
  }

  /** Waits until each load has `more` records acknowledged, and one more transaction. Throws when one has found a fault, or after a minute. */
  async progress(more: number): Promise<void> {
    const goals = this.loads.map((load) => load.acknowledged + more);
    const ended = (this.transactions?.ended ?? 0) + Math.min(1, more);
    for (const until = Date.now() + 60_000; ; await sleep(2)) {
      for (const { fault } of this.#all) if (fault) throw fault;
      const reached = this.loads.every((load, i) => load.acknowledged >= goals[i]!);
      if (reached && (this.transactions === null || this.transactions.ended >= ended)) return;
      if (Date.now() > until) throw new Error(`no progress in a minute\n${this.target.log().slice(-3000)}`);
    }
  }

  /** Ends the loads and reads everything back. Gives what there is: "10412 records, 511 transactions (…), 3 starts with a journal" that had what its files had lost. */
  async check(): Promise<string> {
    for (const load of this.loads) await load.stop();
    const records = await check(this.target.port, this.topic, this.loads, this.view);
    const transactions = this.transactions === null ? "" : `, ${await this.transactions.check()}`;
    const replays = this.target.log().split("records were put back").length - 1;
    return `${records} records${transactions}${replays === 0 ? "" : `, ${replays} starts with a journal`}`;
  }
}
