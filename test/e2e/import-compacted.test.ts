/** `quarkmq import` of what a Kafka has gone on with for a while: compacted topics, committed offsets; and imports that are killed. */

import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { java } from "../support/driver.ts";
import { binary, cache } from "../support/paths.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { run, toolOk } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";

const PRINTED = ["print.offset", "print.timestamp", "print.key", "print.headers", "print.partition"];

/** Everything that is in partition 0, as Kafka's console consumer prints it. */
function consumed(server: string, topic: string, count: number): Promise<string> {
  const properties = PRINTED.flatMap((name) => ["--formatter-property", `${name}=true`]);
  const from = ["--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", String(count)];
  return toolOk("kafka-console-consumer.sh", ["--bootstrap-server", server, ...from, ...properties]);
}

/** Writes keys again and again until the cleaner has gone through the topic; returns how many records are left. */
async function compact(kafka: Target, topic: string): Promise<number> {
  const writer = java.start(kafka.bootstrap);
  const configs = { "cleanup.policy": "compact", "segment.ms": "500", "min.cleanable.dirty.ratio": "0.001" };
  await writer.createTopic(topic, 1, configs);
  for (const round of [0, 1, 2, 3]) {
    const records = Array.from({ length: 50 }, (_, i) => ({ partition: 0, key: `key ${i % 40}`, value: `${round} ${i}` }));
    await writer.produce(topic, records, round % 2 === 0 ? "zstd" : "none");
    await sleep(600); // the next write begins a new segment
  }
  await writer.produce(topic, [{ partition: 0, key: "last", value: "of all" }]);
  const { 0: end } = await writer.offsets(topic, 1, "latest");
  const cleaned = () => readFileSync(join(kafka.dataDir, "cleaner-offset-checkpoint"), "utf8");
  await until("all but the last segment to be compacted", () => cleaned().includes(`${topic} 0 ${end! - 1}\n`));
  const { length } = await writer.read(topic, { 0: 0 }, { 0: end! });
  await writer.close();
  expect(length).toBeLessThan(end!);
  return length;
}

/** A group reads ten records of each partition and commits that. */
async function commitTen(kafka: Target, topic: string, group: string): Promise<void> {
  const member = java.start(kafka.bootstrap);
  await member.createTopic(topic, 2);
  const tens = [0, 1].flatMap((partition) => Array.from({ length: 10 }, (_, i) => ({ partition, value: `read ${i}` })));
  await member.produce(topic, tens);
  await member.join(topic, group);
  await until("the group to read", async () => (await member.member()).records.length === 20);
  await member.commit();
  await member.leave();
  await member.produce(
    topic,
    [0, 1].map((partition) => ({ partition, value: `unread ${partition}` })),
  );
  await member.close();
}

if (targetKind === "binary") {
  test("a compacted topic, a group's offsets; after an import that was killed, and a broker that was", async () => {
    const settings = { "log.cleaner.backoff.ms": "200", "offsets.topic.num.partitions": "5" };
    const kafka = await startTarget({ kind: "kafka", settings });
    const home = mkdtempSync(join(cache, "data", "import-"));
    const dataDir = join(home, "data");
    let target: Target | undefined;
    try {
      const left = await compact(kafka, "compacted");
      await commitTen(kafka, "half-read", "readers");
      const before = await consumed(kafka.bootstrap, "compacted", left);
      expect(before.trim().split("\n")).toHaveLength(left);
      await kafka.stop();

      const imports = [binary, "import", kafka.dataDir, "--data-dir", dataDir];
      for (const afterMs of [80, 120, 160, 200, 240]) {
        const killed = Bun.spawn(imports, { stdout: "ignore", stderr: "ignore", cwd: home });
        await sleep(afterMs);
        killed.kill("SIGKILL");
        await killed.exited;
      }
      const { stdout } = await run(imports, { cwd: home });
      for (const topic of ["__consumer_offsets", "compacted", "half-read"])
        expect(stdout).toMatch(new RegExp(`^imported +${topic}:|^refused +${topic}\\n +Topic '${topic}' already exists`, "m"));

      target = await startTarget({ dataDir });
      expect(await consumed(target.bootstrap, "compacted", left)).toBe(before);
      const member = java.start(target.bootstrap);
      await member.join("half-read", "readers");
      await until("the group to go on", async () => (await member.member()).records.length === 2);
      const unread = (await member.member()).records;
      expect(unread.map(({ partition, offset, value }) => [partition, offset, String(value)]).sort()).toEqual([
        [0, 10, "unread 0"],
        [1, 10, "unread 1"],
      ]);
      const [next] = await member.produce("compacted", [{ partition: 0, key: "new", value: "here" }]);
      await target.kill();
      rmSync(join(dataDir, "quarkmq-recovery-points")); // says up to where all is synced: without it all is checked
      await target.start();
      const after = await consumed(target.bootstrap, "compacted", left + 1);
      expect(after).toStartWith(before);
      expect(after).toMatch(new RegExp(`Offset:${next!.offset}\\t.*new\\there\\n$`));
      expect(target.log()).not.toContain("was cut");
      await member.close();
    } finally {
      await target?.destroy();
      await kafka.destroy();
      rmSync(home, { recursive: true, force: true });
    }
  });
}
