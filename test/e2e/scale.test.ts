/** Ten thousand partitions: made by one call, opened by a start, and cheap as long as nobody uses them. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { sleep } from "../support/until.ts";

const PARTITIONS = 10_000;
const MIB = 1024 * 1024;
const TICKS_PER_SECOND = 100;

let target: Target;
let neutral: Driver;

beforeAll(async () => {
  target = await startTarget();
  neutral = franzGo.start(target.bootstrap);
});
afterAll(async () => {
  await neutral?.close();
  await target?.destroy();
});

/** What the broker's process takes: memory, open files, and CPU since its start. */
function taken(): { rssBytes: number; files: number; cpuSeconds: number } {
  const of = (name: string) => readFileSync(`/proc/${target.pid}/${name}`, "latin1");
  const rssKib = Number(/^VmRSS:\s+(\d+)/m.exec(of("status"))![1]);
  const [user, system] = of("stat").split(" ").slice(13, 15).map(Number);
  const files = readdirSync(`/proc/${target.pid}/fd`).length;
  return { rssBytes: rssKib * 1024, files, cpuSeconds: (user! + system!) / TICKS_PER_SECOND };
}

// What is light about it is quarkmq's promise, and told by Linux.
if (targetKind === "binary" && process.platform === "linux")
  test("ten thousand partitions", async () => {
    await neutral.createTopic("many", PARTITIONS);
    expect(Object.keys(await neutral.offsets("many", PARTITIONS, "latest")).length).toBe(PARTITIONS);
    expect(taken().rssBytes).toBeLessThan(200 * MIB);
    expect(taken().files).toBeLessThan(100);
    await target.restart();
    const started = taken();
    expect(started.cpuSeconds).toBeLessThan(2); // of the time on the clock, others take their share
    expect(started.rssBytes).toBeLessThan(200 * MIB);
    await sleep(2000); // what a start leaves to do
    const before = taken().cpuSeconds;
    await sleep(3000);
    expect(taken().cpuSeconds - before).toBeLessThan(0.15);
    expect(Object.keys(await neutral.offsets("many", PARTITIONS, "latest")).length).toBe(PARTITIONS);
  });
