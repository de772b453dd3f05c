/** What is watched while clients are hostile: that others are served, how much memory it takes, what the broker says. */

import { readFileSync, writeFileSync } from "node:fs";
import type { Target } from "../support/target.ts";
import { sleep } from "../support/until.ts";
import { batchOf, noProducer } from "./batches.ts";
import { Client } from "./client.ts";
import { Violation } from "./load.ts";

/** A figure of /proc/PID/status, in bytes. */
export function memoryOf(pid: number, figure: "VmRSS" | "VmHWM"): number {
  const found = new RegExp(`${figure}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1] ?? 0) * 1024;
}

/** Begins a new peak (VmHWM). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** A client that writes and reads a record, again and again. */
export class Canary {
  readonly #target: Target;
  readonly #pid: number;
  #stopping = false;
  #done: Promise<void>;
  slowestMs = 0;
  turns = 0;

  private constructor(target: Target, client: Client) {
    this.#target = target;
    this.#pid = target.pid;
    this.#done = this.#sing(client);
    this.#done.catch(() => {}); // stop() tells
  }

  static async start(target: Target): Promise<Canary> {
    const client = await Client.open(target.port);
    await client.createTopic("canary", 1);
    return new Canary(target, client);
  }

  async #sing(client: Client): Promise<void> {
    for (; !this.#stopping; await sleep(20)) {
      const startMs = Date.now();
      const value = `canary ${this.turns}`;
      const batch = batchOf([Buffer.from(value)], noProducer, -1);
      const answer = (await client.produce("canary", new Map([[0, batch]]))).get(0);
      if (answer?.code !== 0) throw new Violation(`the canary was refused: ${answer?.code}`);
      const { records } = await client.fetch("canary", 0, answer.baseOffset);
      if (records[0]?.value !== value) throw new Violation(`the canary wrote ${value} and read ${records[0]?.value}`);
      this.turns++;
      this.slowestMs = Math.max(this.slowestMs, Date.now() - startMs);
    }
    client.close();
  }

  /** Ends it. Throws when it was not served, or not within `limitMs`; also when the broker is another one, or has logged an error. */
  async stop(limitMs: number): Promise<string> {
    this.#stopping = true;
    await this.#done;
    if (this.slowestMs > limitMs) throw new Violation(`the canary waited ${this.slowestMs} ms`);
    if (this.#target.pid !== this.#pid) throw new Violation("the broker was started anew");
    const errors = this.#target
      .log()
      .split("\n")
      .filter((line) => /^\S+ error /.test(line));
    if (errors.length > 0) throw new Violation(`the broker logged:\n${errors.slice(0, 5).join("\n")}`);
    return `canary ${this.turns} turns, slowest ${this.slowestMs} ms`;
  }
}
