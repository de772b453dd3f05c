/** `quarkmq import` adopts what an Apache Kafka 4.3.1 broker wrote. */

import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Codec, franzGo, java, type Placed, type ReadRecord } from "../support/driver.ts";
import { binary, cache } from "../support/paths.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { run, toolOk } from "../support/tools.ts";

const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

/** Writes a record to each of three topics: in a transaction that is committed, in one that is aborted, and in one that stays open. */
const TRANSACTIONS = `
import os, sys
from confluent_kafka import Producer
p = Producer({"bootstrap.servers": sys.argv[1], "transactional.id": "t", "transaction.timeout.ms": 20000})
p.init_transactions(20)
for topic in ("kept", "undone", "open"):
    p.begin_transaction()
    p.produce(topic, topic.encode())
    p.flush(10)
    if topic == "kept":
        p.commit_transaction(10)
    elif topic == "undone":
        p.abort_transaction(10)
os._exit(0)
`;

if (targetKind === "binary") {
  const describe = async (server: string): Promise<string> => {
    const said = await toolOk("kafka-topics.sh", ["--bootstrap-server", server, "--describe", "--topic", "adopted"]);
    return said
      .replace(/(min\.insync\.replicas=1,?)/, "") // Kafka writes this default into the topic
      .replace(/(Leader|Replicas|Isr): \d+/g, "$1")
      .replace(/\tElr:.*/g, "");
  };

  test("partition directories written by Kafka are adopted and read whole, and written on", async () => {
    const kafka = await startTarget({ kind: "kafka", settings: { "log.segment.bytes": String(1 << 20) } });
    const home = mkdtempSync(join(cache, "data", "import-"));
    let target: Target | undefined;
    try {
      const writer = java.start(kafka.bootstrap);
      await writer.createTopic("adopted", 2, { "max.message.bytes": "2000000" });
      await writer.createTopic("other", 1);
      const placed: Placed[] = [];
      const text = Buffer.from(crypto.getRandomValues(new Uint8Array(600_000))).toString("hex");
      for (const codec of CODECS) {
        const records = Array.from({ length: 200 }, (_, i) => ({
          partition: i % 2,
          key: i % 7 === 0 ? null : `${codec} ${i}`,
          value: i % 11 === 0 ? null : text.slice(i * 5000, i * 5000 + 5000),
          headers: [["h", codec]] as [string, string][],
          timestampMs: 1_700_000_000_000 + i,
        }));
        placed.push(...(await writer.produce("adopted", records, codec)));
      }
      await writer.produce("other", [{ value: "alone" }]);
      const to = { 0: 500, 1: 500 };
      const before = await writer.read("adopted", { 0: 0, 1: 0 }, to);
      await writer.close();
      expect(await run(["/usr/bin/python3", "-c", TRANSACTIONS, kafka.bootstrap])).toMatchObject({ code: 0 });
      const described = await describe(kafka.bootstrap);
      await kafka.stop();

      const source = join(home, "kafka");
      cpSync(kafka.dataDir, source, { recursive: true });
      const dataDir = join(home, "data");
      const imported = await run([binary, "import", source, "--data-dir", dataDir], { cwd: home });
      expect(imported.code).toBe(0);
      expect(imported.stdout).toMatch(/^imported +adopted: 2 partitions, 1000 records/m);
      expect(imported.stdout).toMatch(/^imported +kept: /m);
      expect(imported.stdout).toMatch(/^imported +undone: /m);
      expect(imported.stdout).toMatch(/^imported +__transaction_state: /m);
      expect(existsSync(join(dataDir, "adopted-0"))).toBe(true);

      const settings = {
        "log.segment.bytes": String(1 << 20),
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
      };
      target = await startTarget({ dataDir, settings });
      expect(await describe(target.bootstrap)).toBe(described); // its id and config too
      expect((await run([binary, "import", source, "--data-dir", dataDir], { cwd: home })).code).toBe(1); // in use
      const reader = franzGo.start(target.bootstrap);
      const after = await reader.read("adopted", { 0: 0, 1: 0 }, to);
      const plain = (records: ReadRecord[]) => records.map(({ codec: _, ...r }) => JSON.stringify(r)).sort();
      expect(plain(after)).toEqual(plain(before));
      expect(await reader.offsets("adopted", 2, 1_700_000_000_100)).toEqual({ 0: 50, 1: 50 });
      const [next] = await reader.produce("adopted", [{ partition: 0, value: "written on" }]);
      expect(next).toEqual({ partition: 0, offset: 500 });
      expect((await reader.read("other", { 0: 0 }, { 0: 1 })).map((r) => String(r.value))).toEqual(["alone"]);
      // What was open is aborted when its time is over; until then what comes behind it is not seen.
      await reader.produce("open", [{ value: "later" }]);
      for (const [topic, values] of [
        ["kept", ["kept"]],
        ["undone", []],
        ["open", ["later"]],
      ] as const)
        expect((await reader.committed(topic, 1, values.length)).map((r) => String(r.value))).toEqual([...values]);
      await reader.close();
      await target.stop();
      const logs = readdirSync(join(dataDir, "adopted-0"))
        .filter((name) => name.endsWith(".log") || name.endsWith("index"))
        .map((name) => join(dataDir, "adopted-0", name));
      const dumped = await toolOk("kafka-dump-log.sh", ["--files", logs.join(","), "--verify-index-only"]);
      expect(dumped).not.toMatch(/isvalid: false|Mismatches|out of order|Non-consecutive/);
    } finally {
      await target?.destroy();
      await kafka.destroy();
      rmSync(home, { recursive: true, force: true });
    }
  });

  test("what it does not read is refused by name, and nothing is adopted", async () => {
    const home = mkdtempSync(join(cache, "data", "import-"));
    const strange = join(home, "kafka/topic-0");
    await run(["mkdir", "-p", strange]);
    writeFileSync(
      join(strange, "00000000000000000000.log"),
      "this is no batch at all, whatever it is, and longer than a header is",
    );
    writeFileSync(join(strange, "partition.metadata"), "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAg\n");
    const dataDir = join(home, "data");
    const imported = await run([binary, "import", join(home, "kafka"), "--data-dir", dataDir], { cwd: home });
    expect(imported.code).toBe(1);
    expect(imported.stdout).toMatch(/^refused +topic\n.*topic-0\/00000000000000000000\.log: offset 0/m);
    expect(existsSync(join(dataDir, "topic-0"))).toBe(false);
    rmSync(home, { recursive: true, force: true });
  });
}
