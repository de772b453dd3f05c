/**
 * Damage by others: bits that flip and files that lose their end, anywhere in the data directory of a stopped broker. A consumer that
 * checks CRCs must never accept a changed record, no offset may move, and partitions whose files are whole must be served.
 */

import { copyFileSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { sleep } from "../support/until.ts";
import { batchOf, noProducer, Unacceptable } from "./batches.ts";
import { Client, Disconnected, Refused } from "./client.ts";
import { checkPartition, Violation } from "./load.ts";
import { goesOn, type Run, Scene, type Torture } from "./torture.ts";

function filesOf(dir: string): string[] {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

function copyTree(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  for (const file of filesOf(from)) {
    const target = join(to, relative(from, file));
    Bun.spawnSync(["mkdir", "-p", join(target, "..")]);
    copyFileSync(file, target);
  }
}

/** Damages a file; gives what was done. */
function damage(run: Run, file: string): string {
  const { random } = run;
  const { size } = statSync(file);
  if (size === 0 || random.chance(0.3)) {
    const left = random.chance(0.2) ? 0 : random.int(size + 1);
    truncateSync(file, left);
    return `cut from ${size} to ${left}`;
  }
  const bytes = readFileSync(file);
  const at = random.int(size);
  if (random.chance(0.3)) bytes.fill(random.pick([0, 0xff]), at, Math.min(size, at + 1 + random.int(512)));
  else bytes[at]! ^= 1 << random.int(8);
  writeFileSync(file, bytes);
  return `changed at ${at} of ${size}`;
}

/** What a careful consumer gets of a partition from an offset on, until an error or the end. */
async function readOn(
  port: number,
  topic: string,
  p: number,
  from: number,
): Promise<{ records: Map<number, string>; stopped: string | null }> {
  const records = new Map<number, string>();
  const client = await Client.open(port);
  try {
    for (let offset = from; ; ) {
      const got = await client.fetch(topic, p, offset);
      for (const record of got.records) records.set(record.offset, record.value);
      const last = got.records.at(-1);
      if (last === undefined) return { records, stopped: offset < got.highWatermark ? `nothing at ${offset}` : null };
      offset = last.offset + 1;
    }
  } catch (error) {
    if (error instanceof Refused || error instanceof Unacceptable || error instanceof Disconnected)
      return { records, stopped: error.message };
    throw error;
  } finally {
    client.close();
  }
}

interface Expected {
  scene: Scene;
  partitions: number;
  truth: string[][];
}

/** Reads everything; throws when a record differs or a whole partition is not whole. Gives how many records are no longer readable. */
async function compare({ scene, partitions, truth }: Expected, hurt: Set<number>, what: string): Promise<number> {
  let missing = 0;
  for (let p = 0; p < partitions; p++) {
    const expected = truth[p]!;
    const seen = new Map<number, string>();
    let stopped: string | null = null;
    // Behind a bad place there may be good ones: a consumer that skips it.
    for (const from of [0, Math.floor(expected.length / 2), Math.max(0, expected.length - 1)]) {
      const read = await readOn(scene.target.port, scene.topic, p, from);
      stopped ??= read.stopped;
      for (const [offset, value] of read.records) seen.set(offset, value);
    }
    for (const [offset, value] of seen)
      if (expected[offset] !== value)
        throw new Violation(`${what}: ${p} at ${offset} is ${value.slice(0, 60)}, was ${expected[offset]?.slice(0, 60)}`);
    if (!hurt.has(p) && (seen.size !== expected.length || stopped !== null))
      throw new Violation(`${what}: partition ${p}, which is whole, has ${seen.size} of ${expected.length} records: ${stopped}`);
    missing += expected.length - seen.size;
  }
  return missing;
}

/** Partitions that are whole go on where they were. */
async function writeOn({ scene, partitions, truth }: Expected, hurt: Set<number>, what: string): Promise<void> {
  const client = await Client.open(scene.target.port);
  for (let p = 0; p < partitions; p++) {
    if (hurt.has(p)) continue;
    const batch = batchOf([Buffer.from("on")], noProducer, -1);
    const answer = (await client.produce(scene.topic, new Map([[p, batch]]))).get(p);
    if (answer?.code !== 0 || answer.baseOffset !== truth[p]!.length)
      throw new Violation(
        `${what}: partition ${p}, which is whole, took a record as ${JSON.stringify(answer)}, not at ${truth[p]!.length}`,
      );
  }
  client.close();
}

export const damaged: Torture = {
  name: "damage",
  cycles: { bounded: 8, endless: 60 },
  async run(run) {
    const partitions = 6;
    const scene = await Scene.open(run, partitions, { settings: { "log.segment.bytes": "20480" }, transactional: 0 });
    await scene.progress(1500);
    await scene.check();
    const truth = scene.view.partitions;
    for (const [p, records] of truth.entries()) checkPartition("before", p, records, scene.loads);
    if (run.random.chance(0.5)) await scene.target.stop();
    else await scene.target.kill();
    const { dataDir, home } = scene.target;
    const copy = join(home, "whole");
    copyTree(dataDir, copy);
    const files = filesOf(copy)
      .map((file) => relative(copy, file))
      .filter((file) => !/lock$/.test(file))
      .sort();
    const ofTopics = files.filter((file) => file.startsWith(`${scene.topic}-`));
    let [done, refusals, missing] = [0, 0, 0];
    for (; goesOn(run, done); done++) {
      copyTree(copy, dataDir);
      const hurt = new Set<number>();
      const told: string[] = [];
      for (let n = 1 + run.random.int(3); n > 0; n--) {
        const file = run.random.pick(run.random.chance(0.8) ? ofTopics : files);
        told.push(`${file} ${damage(run, join(dataDir, file))}`);
        const partition = new RegExp(`^${scene.topic}-(\\d+)/`).exec(file);
        if (partition) hurt.add(Number(partition[1]));
        else for (let p = 0; p < partitions; p++) hurt.add(p); // the broker's own: topics may be unknown
      }
      const what = told.join("; ");
      try {
        await scene.target.start();
      } catch (error) {
        // It may refuse to start over what is the broker's own, with a reason; never over a topic's.
        if (!/the broker exited: (1|70)/.test(String(error)) || hurt.size < partitions) throw new Violation(`${what}: ${error}`);
        refusals++;
        await sleep(1);
        continue;
      }
      missing += await compare({ scene, partitions, truth }, hurt, what);
      await writeOn({ scene, partitions, truth }, hurt, what);
      await scene.target.kill();
    }
    return `${done} damages, ${refusals} starts refused, ${missing} records unreadable, none changed`;
  },
};
