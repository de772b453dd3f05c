/** An application of Kafka Streams that processes exactly once, while its instances and the broker are killed. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { franzGo } from "../support/driver.ts";
import { kafkaBin } from "../support/paths.ts";
import { startTarget, targetKind } from "../support/target.ts";
import { sleep, until } from "../support/until.ts";

const PARTITIONS = 4;
const WORDS = 40;

test("every record counts once, whatever dies meanwhile: an instance, or the broker by kill -9", async () => {
  const target = await startTarget({
    settings: {
      "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
      "transaction.state.log.num.partitions": "5",
      "offsets.topic.num.partitions": "5",
    },
  });
  const driver = franzGo.start(target.bootstrap);
  const begin = (instance: number) =>
    Bun.spawn([join(kafkaBin, "streams-app.sh"), target.bootstrap, "words", "counts", join(target.home, `state-${instance}`)], {
      stdout: Bun.file(join(target.home, `streams-${instance}-${Date.now()}.log`)),
      stderr: "ignore",
    });
  const instances: Bun.Subprocess[] = [];
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
    instances.push(begin(0), begin(1));
    await until("counts to be committed", async () => (await driver.committed("counts", PARTITIONS, 0)).length > 0, {
      timeoutMs: 60_000,
    });
    await sleep(4000);
    instances[0]!.kill("SIGKILL");
    await sleep(2000);
    instances[0] = begin(0);
    await sleep(4000);
    if (targetKind === "binary") {
      await target.kill();
      await target.start();
      await sleep(4000);
    }
    instances[1]!.kill("SIGKILL");
    await sleep(1000);
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
}, 300_000);
