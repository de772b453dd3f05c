/** Tortures that end the broker, or its machine, in the middle of its work. */

import { appendFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { canMount, canMountLoop, FailingDisk, LoopDisk, SmallDisk } from "../support/disks.ts";
import { run as runProgram } from "../support/tools.ts";
import { sleep } from "../support/until.ts";
import { batchOf, noProducer } from "./batches.ts";
import { Violation } from "./load.ts";
import { goesOn, type Run, Scene, type Torture } from "./torture.ts";

const needsRoot = "mounting needs root, and a machine that lets it";

/** A cycle: some acknowledgements, a look, a moment by chance, then `disturb`. */
async function cycles(run: Run, scene: Scene, disturb: () => Promise<unknown>): Promise<string> {
  let done = 0;
  for (; goesOn(run, done); done++) {
    await scene.progress(run.random.int(60));
    if (run.random.chance(0.5)) await scene.view.follow();
    await sleep(run.random.int(15));
    await disturb();
  }
  await scene.progress(1);
  return `${done} cycles, ${await scene.check()}`;
}

export const kill: Torture = {
  name: "kill",
  cycles: { bounded: 25, endless: 100 },
  async run(run) {
    const scene = await Scene.open(run, 6);
    return cycles(run, scene, async () => {
      await scene.target.kill();
      await scene.target.start();
    });
  },
};

export const pause: Torture = {
  name: "pause",
  cycles: { bounded: 15, endless: 60 },
  async run(run) {
    const scene = await Scene.open(run, 6);
    return cycles(run, scene, async () => {
      process.kill(scene.target.pid, "SIGSTOP");
      await sleep(run.random.int(100));
      process.kill(scene.target.pid, "SIGCONT");
      if (!run.random.chance(0.2)) return;
      process.kill(scene.target.pid, "SIGSTOP");
      await scene.target.kill();
      await scene.target.start();
    });
  },
};

/** The active segment of a partition; null if it died before it had one. */
function activeSegment(dir: string): string | null {
  const last = readdirSync(dir)
    .filter((name) => name.endsWith(".log"))
    .sort()
    .at(-1);
  return last === undefined ? null : join(dir, last);
}

/** What a write that was cut off, or another program, may leave behind the last batch. */
function tornTail(run: Run, partition: number): Buffer {
  const { random } = run;
  const batch = batchOf([Buffer.from(`torn/${partition}/${random.int(1000)}/`)], noProducer, -1);
  switch (random.int(6)) {
    case 0:
      return Buffer.from(random.bytes(1 + random.int(300)));
    case 1:
      return Buffer.alloc(1 + random.int(8192)); // a file that grew, and whose blocks were not written
    case 2:
      return batch.subarray(0, 1 + random.int(batch.length - 1));
    case 3:
      batch[21 + random.int(batch.length - 21)]! ^= 1 << random.int(8);
      batch.writeBigInt64BE(BigInt(random.int(100_000)), 0);
      return batch;
    case 4:
      batch.writeInt32BE(0x7fffffff - random.int(3), 8);
      return batch;
    default:
      return Buffer.concat([batch.subarray(0, 12), Buffer.alloc(4096)]);
  }
}

/** Directories of partitions, the coordinators' among them. */
const tearable = /^(torture|transactions|__transaction_state|__consumer_offsets)-(\d+)$/;

export const torn: Torture = {
  name: "torn",
  cycles: { bounded: 10, endless: 60 },
  async run(run) {
    const scene = await Scene.open(run, 6);
    return cycles(run, scene, async () => {
      await scene.target.kill();
      const { dataDir } = scene.target;
      for (const name of readdirSync(dataDir)) {
        const partition = tearable.exec(name);
        const segment = partition && activeSegment(join(dataDir, name));
        if (segment && run.random.chance(0.6)) appendFileSync(segment, tornTail(run, Number(partition[2])));
      }
      await scene.target.start();
    });
  },
};

/** The power goes, and comes back. */
async function losePower(disk: LoopDisk | FailingDisk, scene: Scene): Promise<void> {
  process.kill(scene.target.pid, "SIGSTOP"); // nothing is acknowledged from here on
  await disk.cutPower();
  await scene.target.kill();
  await disk.remount();
  await scene.target.start();
}

export const power: Torture = {
  name: "power",
  cycles: { bounded: 4, endless: 12 },
  missing: async () => ((await canMountLoop()) ? null : needsRoot),
  async run(run) {
    const disk = await LoopDisk.create(512);
    run.cleanUp(() => disk.destroy());
    // Few files are synced each by itself, many by one syncfs.
    const scene = await Scene.open(run, run.random.pick([6, 120]), {
      dataDir: join(disk.path, "data"),
      settings: { "log.segment.bytes": "20480" },
    });
    return cycles(run, scene, async () => {
      await sleep(run.random.int(150));
      await losePower(disk, scene);
    });
  },
};

export const full: Torture = {
  name: "full",
  cycles: { bounded: 2, endless: 10 },
  missing: async () => ((await canMount()) ? null : needsRoot),
  async run(run) {
    const disk = await SmallDisk.create(32);
    run.cleanUp(() => disk.destroy());
    const ballast = join(disk.path, "ballast");
    const scene = await Scene.open(run, 6, { dataDir: join(disk.path, "data") });
    return cycles(run, scene, async () => {
      await runProgram(["sh", "-c", `cat /dev/zero > ${ballast}`]);
      await sleep(200 + run.random.int(400));
      await scene.view.follow(); // readers are served meanwhile
      if (run.random.chance(0.3)) await scene.target.kill();
      await runProgram(["rm", "-f", ballast]);
      if (scene.target.pid < 0) await scene.target.start();
      await scene.progress(20);
    });
  },
};

/** A file system that gave up, since something of its own was refused, is mounted again first, as an operator would. */
async function startOn(disk: FailingDisk, scene: Scene): Promise<void> {
  try {
    await scene.target.start();
  } catch (error) {
    if (!String(error).includes("the file system is read-only")) throw error;
    await disk.remount();
    await scene.target.start();
  }
}

export const failing: Torture = {
  name: "failing",
  cycles: { bounded: 3, endless: 10 },
  missing: async () => ((await canMountLoop()) ? null : needsRoot),
  async run(run) {
    const disk = await FailingDisk.create(320);
    run.cleanUp(() => disk.destroy());
    const scene = await Scene.open(run, run.random.pick([6, 60]), { dataDir: join(disk.path, "data") });
    return cycles(run, scene, async () => {
      await disk.fail();
      const code = await Promise.race([scene.target.ended, sleep(30_000)]);
      if (code !== 70) throw new Violation(`a sync failed, and the broker ends with ${code}\n${scene.target.log().slice(-3000)}`);
      disk.mend();
      await startOn(disk, scene); // by a supervisor, at once: whatever is in memory is still there
      await scene.progress(20);
      if (run.random.chance(0.7)) await losePower(disk, scene);
    });
  },
};
