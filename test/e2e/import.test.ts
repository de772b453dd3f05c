/** `quarkmq import` adopts what an Apache Kafka 4.3.1 broker wrote. */

import { expect, test } from "bun:test";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Codec, franzGo, java, type Placed, type ReadRecord } from "../support/driver.ts";
import { binary, cache } from "../support/paths.ts";
import { startTarget, targetKind } from "../support/target.ts";
import { run, toolOk } from "../support/tools.ts";

const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

if (targetKind === "binary") {
  test("partition directories written by Kafka are adopted and read whole, and written on", async () => {
    const kafka = await startTarget({ kind: "kafka", settings: { "log.segment.bytes": String(1 << 20) } });
    const home = mkdtempSync(join(cache, "data", "import-"));
    try {
      const writer = java.start(kafka.bootstrap);
      await writer.createTopic("adopted", 2);
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
      await kafka.stop();

      const source = join(home, "kafka");
      cpSync(kafka.dataDir, source, { recursive: true });
      const dataDir = join(home, "data");
      const imported = await run([binary, "import", source, "--data-dir", dataDir], { cwd: home });
      expect(imported).toMatchObject({ code: 0 });
      expect(imported.stdout + imported.stderr).toContain("adopted");
      expect(existsSync(join(dataDir, "adopted-0"))).toBe(true);

      const target = await startTarget({ dataDir });
      const reader = franzGo.start(target.bootstrap);
      const after = await reader.read("adopted", { 0: 0, 1: 0 }, to);
      const plain = (records: ReadRecord[]) => records.map(({ codec: _, ...r }) => JSON.stringify(r)).sort();
      expect(plain(after)).toEqual(plain(before));
      expect(await reader.offsets("adopted", 2, 1_700_000_000_100)).toEqual({ 0: 50, 1: 50 });
      const [next] = await reader.produce("adopted", [{ partition: 0, value: "written on" }]);
      expect(next).toEqual({ partition: 0, offset: 500 });
      expect((await reader.read("other", { 0: 0 }, { 0: 1 })).map((r) => String(r.value))).toEqual(["alone"]);
      await reader.close();
      await target.stop();
      const logs = readdirSync(join(dataDir, "adopted-0"))
        .filter((name) => name.endsWith(".log") || name.endsWith("index"))
        .map((name) => join(dataDir, "adopted-0", name));
      const dumped = await toolOk("kafka-dump-log.sh", ["--files", logs.join(","), "--verify-index-only"]);
      expect(dumped).not.toMatch(/isvalid: false|Mismatches|out of order|Non-consecutive/);
      await target.destroy();
    } finally {
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
    expect(imported.code).not.toBe(0);
    expect(imported.stderr).toContain("topic-0");
    expect(existsSync(join(dataDir, "topic-0"))).toBe(false);
    rmSync(home, { recursive: true, force: true });
  });
}
