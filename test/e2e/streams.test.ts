/** An application of Kafka Streams that processes exactly once, while its instances and the broker die. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { canMountLoop, LoopDisk } from "../support/disks.ts";
import { franzGo } from "../support/driver.ts";
import { kafkaBin } from "../support/paths.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { sleep, until } from "../support/until.ts";

const PARTITIONS = 4;
const WORDS = 40;

interface App {
  readonly target: Target;
  /** Waits until a few hundred more counts are written. */
  goesOn(): Promise<unknown>;
  /** Starts the instance of this number, also anew. */
  begin(instance: number): void;
  /** kill -9 */
  kill(instance: number): void;
}

/** Words are written and counted by two instances while `disturb` runs. In the end each word was counted once, and in order. */
async function expectExactCounts(dataDir: string | null, disturb: (app: App) => Promise<void>): Promise<void> {
  const target = await startTarget({
    ...(dataDir === null ? {} : { dataDir }),
    settings: {
      "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
      "transaction.state.log.num.partitions": "5",
      "offsets.topic.num.partitions": "5",
    },
  });
  const driver = franzGo.start(target.bootstrap);
  const instances: Bun.Subprocess[] = [];
  const end = async () => {
    const offsets = Object.values(await driver.offsets("counts", PARTITIONS, "latest"));
    return offsets.reduce((sum, offset) => sum + offset, 0);
  };
  const app: App = {
    target,
    async goesOn() {
      const before = await end();
      return until("more to be counted", async () => (await end()) > before + 300, { timeoutMs: 60_000 });
    },
    begin(instance) {
      const state = join(target.home, `state-${instance}`);
      instances[instance] = Bun.spawn([join(kafkaBin, "streams-app.sh"), target.bootstrap, "words", "counts", state], {
        stdout: Bun.file(join(target.home, `streams-${instance}-${Date.now()}.log`)),
        stderr: "ignore",
      });
    },
    kill: (instance) => instances[instance]!.kill("SIGKILL"),
  };
  try {
    await driver.createTopic("words", PARTITIONS);
    await driver.createTopic("counts", PARTITIONS);
    let written = 0;
    let isOver = false;
    const writing = (async () => {
      for (; !isOver; await sleep(20)) {
        const records = Array.from({ length: 10 }, (_, i) => ({
          partition: (written + i) % PARTITIONS,
          value: `${(written + i) % WORDS}`,
        }));
        await driver.produce("words", records).then(
          () => {},
          () => {}, // what the topic holds in the end is what counts
        );
        written += 10;
      }
    })();
    app.begin(0);
    app.begin(1);
    await app.goesOn();
    await disturb(app);
    isOver = true;
    await writing;

    const words = await driver.committed("words", PARTITIONS, 1);
    expect(words.length).toBeGreaterThan(500);
    const inAll = new Map<string, number>();
    for (const { value } of words) inAll.set(String(value), (inAll.get(String(value)) ?? 0) + 1);
    await until(
      "everything to be counted",
      async () => (await driver.committed("counts", PARTITIONS, 1)).length >= words.length,
      { timeoutMs: 90_000 },
    );
    const counted = new Map<string, number>();
    for (const { value } of await driver.committed("counts", PARTITIONS, words.length)) {
      const [word, count] = String(value).split(" ");
      expect(`${word} ${count}`).toBe(`${word} ${(counted.get(word!) ?? 0) + 1}`);
      counted.set(word!, Number(count));
    }
    expect(new Map([...counted].sort())).toEqual(new Map([...inAll].sort()));
  } finally {
    for (const instance of instances) instance.kill("SIGKILL");
    await driver.close();
    await target.destroy();
  }
}

test("every record counts once, whatever dies meanwhile: an instance, or the broker by kill -9", async () => {
  await expectExactCounts(null, async ({ target, begin, kill }) => {
    await sleep(4000);
    kill(0);
    await sleep(2000);
    begin(0);
    await sleep(4000);
    if (targetKind === "binary") {
      await target.kill();
      await target.start();
      await sleep(4000);
    }
    kill(1);
    await sleep(1000);
  });
}, 300_000);

// Kafka acknowledges what is only in the page cache: this is a promise of quarkmq's own.
if (targetKind === "binary")
  test.if(await canMountLoop())(
    "every record counts once, though the power is cut again and again",
    async () => {
      const disk = await LoopDisk.create(256);
      try {
        await expectExactCounts(join(disk.path, "data"), async ({ target, begin, kill, goesOn }) => {
          for (let cut = 0; cut < 3; cut++) {
            await goesOn();
            await sleep(Math.random() * 1500);
            if (cut === 1) kill(0); // both at once
            process.kill(target.pid, "SIGSTOP"); // nothing is acknowledged from here on
            await disk.cutPower();
            await target.kill();
            await disk.remount();
            await target.start();
            if (cut === 1) begin(0);
          }
          await goesOn();
        });
      } finally {
        await disk.destroy();
      }
    },
    300_000,
  );
