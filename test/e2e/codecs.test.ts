/**
 * What any client writes in any codec every other reads; also where the topic stores it in a codec of its own, small batches and those that
 * are compressed in a thread; and the codecs work where nothing in the temporary directory may be executed.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { canMount, SmallDisk } from "../support/disks.ts";
import {
  type Client,
  type Codec,
  type Driver,
  franzGo,
  java,
  kafkajs,
  kafkaPython,
  librdkafka,
  type NewRecord,
  platformatic,
} from "../support/driver.ts";
import { kcat } from "../support/kcat.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { toolOk } from "../support/tools.ts";
import { until } from "../support/until.ts";

const CLIENTS: Client[] = [franzGo, java, librdkafka, kafkaPython, kafkajs, platformatic, kcat];
const CODECS: Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];
/** Topic → its compression. Levels that take long make usual batches too much for the loop. */
const STORED: Record<string, { codec: Codec; configs: Record<string, string> }> = {
  plain: { codec: "none", configs: { "compression.type": "uncompressed" } },
  gzip: { codec: "gzip", configs: { "compression.type": "gzip", "compression.gzip.level": "9" } },
  snappy: { codec: "snappy", configs: { "compression.type": "snappy" } },
  lz4: { codec: "lz4", configs: { "compression.type": "lz4" } },
  "lz4-hard": { codec: "lz4", configs: { "compression.type": "lz4", "compression.lz4.level": "12" } },
  zstd: { codec: "zstd", configs: { "compression.type": "zstd" } },
  "zstd-hard": { codec: "zstd", configs: { "compression.type": "zstd", "compression.zstd.level": "12" } },
};

let target: Target;
const drivers = new Map<string, Driver>();
const neutral = () => drivers.get(franzGo.name)!;

beforeAll(async () => {
  target = await startTarget();
  for (const client of CLIENTS) drivers.set(client.name, client.start(target.bootstrap));
});
afterAll(async () => {
  for (const driver of drivers.values()) await driver.close();
  await target?.destroy();
});

async function create(topic: string, configs: Record<string, string> = {}): Promise<void> {
  await neutral().createTopic(topic, 1, configs);
  await until(`${topic} to be led`, () => neutral().offsets(topic, 1, "latest"));
}

const words = "all work and no play makes a dull log ";
const recordsOf = (who: string, codec: Codec, count = 12): NewRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    partition: 0,
    key: `${who} ${codec} ${i}`,
    value: `${i} ${words.repeat(1 + ((i * 7) % 40))}`,
  }));

/** Writes with every client in every codec, all clients at once; what should be there. */
async function writeAll(topic: string): Promise<string[]> {
  const all: string[] = [];
  await Promise.all(
    CLIENTS.map(async ({ name }) => {
      for (const codec of CODECS) {
        const records = recordsOf(name, codec);
        const placed = await drivers.get(name)!.produce(topic, records, codec);
        for (const [i, { offset }] of placed.entries()) all[offset] = `${records[i]!.key}: ${records[i]!.value}`;
      }
    }),
  );
  expect(all.filter((one) => one !== undefined).length).toBe(CLIENTS.length * CODECS.length * 12);
  return all;
}

/** That every client reads exactly this. Gives the codec of each record's batch. */
async function expectAllRead(topic: string, written: string[]): Promise<Codec[]> {
  const codecs: Codec[] = [];
  await Promise.all(
    CLIENTS.map(async ({ name }) => {
      const read = await drivers.get(name)!.read(topic, { 0: 0 }, { 0: written.length });
      const shown = read.sort((a, b) => a.offset - b.offset).map((r) => `${r.key}: ${r.value}`);
      expect(shown, `${name} reads ${topic}`).toEqual(written);
      if (name === franzGo.name) codecs.push(...read.map(({ codec }) => codec!));
    }),
  );
  return codecs;
}

describe("what one client writes the others read", () => {
  test("as the producer compressed it", async () => {
    await create("kept");
    const codecs = await expectAllRead("kept", await writeAll("kept"));
    for (const codec of CODECS) expect(codecs.filter((c) => c === codec).length).toBeGreaterThan(40);
  }, 60_000);

  for (const [topic, { codec, configs }] of Object.entries(STORED)) {
    test(`stored as the topic wants it: ${topic}`, async () => {
      await create(topic, configs);
      const written = await writeAll(topic);
      // One batch of 800 KB when it is unpacked.
      const large = recordsOf("large", "gzip", 1000);
      const placed = await neutral().produce(topic, large, "gzip");
      for (const [i, { offset }] of placed.entries()) written[offset] = `${large[i]!.key}: ${large[i]!.value}`;
      const codecs = await expectAllRead(topic, written);
      expect(new Set(codecs)).toEqual(new Set([codec]));
    }, 60_000);
  }

  test("and Kafka's kafka-dump-log finds every batch valid", async () => {
    await target.stop();
    const directory = (topic: string) => join(target.dataDir, `${topic}-0`);
    const logs = Object.keys(STORED).flatMap((topic) =>
      readdirSync(directory(topic))
        .filter((file) => file.endsWith(".log"))
        .map((file) => join(directory(topic), file)),
    );
    const said = await toolOk(
      "kafka-dump-log.sh",
      ["--files", logs.join(","), "--deep-iteration", "--max-message-size", "8000000"],
      {
        env: { KAFKA_HEAP_OPTS: "-Xmx512m" },
      },
    );
    const batches = said.split("\n").filter((line) => line.startsWith("baseOffset: "));
    expect(batches.length).toBeGreaterThan(Object.keys(STORED).length * CLIENTS.length * CODECS.length);
    expect(batches.filter((line) => !line.endsWith(" isvalid: true"))).toEqual([]);
    const records = said.split("\n").filter((line) => line.startsWith("| offset: "));
    expect(records.length).toBe(Object.keys(STORED).length * (CLIENTS.length * CODECS.length * 12 + 1000));
    await target.start();
  }, 60_000);
});

// That the one program needs no file beside it is a promise of quarkmq's own.
const mounts = targetKind === "binary" && (await canMount());
if (targetKind === "binary") {
  test.if(mounts)(
    "the codecs work where the temporary directory is mounted noexec",
    async () => {
      const disk = await SmallDisk.create(16, "noexec");
      // The other thread that there can be, for syncs, is not to be mistaken for the one of the codecs.
      const settings = { "broker.syncfs_threshold": "1000000" };
      const bare = await startTarget({ settings, env: { TMPDIR: disk.path, BUN_TMPDIR: disk.path } });
      const driver = franzGo.start(bare.bootstrap);
      try {
        const script = join(disk.path, "script");
        await Bun.write(script, "#!/bin/sh\n");
        expect(Bun.spawnSync(["chmod", "+x", script]).exitCode).toBe(0);
        expect(() => Bun.spawnSync([script])).toThrow(/EACCES|permission denied/i);
        for (const [topic, { codec, configs }] of Object.entries(STORED)) {
          await driver.createTopic(topic, 1, configs);
          await until(`${topic} to be led`, () => driver.offsets(topic, 1, "latest"));
          let end = 0;
          for (const from of CODECS) {
            const records = recordsOf("bare", from, 100);
            await driver.produce(topic, records, from);
            const read = await driver.read(topic, { 0: end }, { 0: end + 100 });
            expect(read.map((r) => `${r.key}: ${r.value}`)).toEqual(records.map((r) => `${r.key}: ${r.value}`));
            expect(new Set(read.map((r) => r.codec!))).toEqual(new Set([codec]));
            end += 100;
          }
        }
        const threads = readdirSync(`/proc/${bare.pid}/task`).map((id) =>
          readFileSync(`/proc/${bare.pid}/task/${id}/comm`, "utf8"),
        );
        expect(threads.filter((name) => name.startsWith("Worker")).length).toBe(1);
        expect(readdirSync(disk.path)).toEqual(["script"]); // nothing was unpacked there, to be executed or not
      } finally {
        await driver.close();
        await bare.destroy();
        await disk.destroy();
      }
    },
    60_000,
  );
}
