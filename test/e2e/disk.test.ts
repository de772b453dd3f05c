/** What the broker does when the power goes, and when the disk is full. */

import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { canMount, canMountLoop, LoopDisk, SmallDisk } from "../support/disks.ts";
import { type Driver, franzGo } from "../support/driver.ts";
import { startTarget, type Target, targetKind } from "../support/target.ts";
import { run } from "../support/tools.ts";
import { sleep, until } from "../support/until.ts";
import { expectNothingLost } from "./assertions.ts";

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const mounts = await canMount();
const loops = mounts && (await canMountLoop());

async function load(
  dataDir: string,
): Promise<{ target: Target; driver: Driver; acknowledged: (more: number) => Promise<unknown> }> {
  const target = await startTarget({ dataDir });
  cleanUps.push(() => target.destroy());
  const driver = franzGo.start(target.bootstrap);
  cleanUps.push(() => driver.close());
  const acknowledged = async (more: number) => {
    const { acked } = await driver.streamStatus();
    return until(`${more} more acknowledged`, async () => (await driver.streamStatus()).acked >= acked + more);
  };
  return { target, driver, acknowledged };
}

// Kafka acknowledges what is only in the page cache, and ends when its disk is full: these are promises of quarkmq's own.
if (targetKind === "binary") {
  test.if(loops)(
    "power cuts under load lose nothing acknowledged and duplicate nothing",
    async () => {
      const disk = await LoopDisk.create(96);
      cleanUps.push(() => disk.destroy());
      const { target, driver, acknowledged } = await load(join(disk.path, "data"));
      const partitions = 3;
      await driver.createTopic("cut", partitions);
      await driver.createTopic("group", 1);
      await driver.produce("group", [{ value: "one" }, { value: "two" }]);
      await driver.join("group", "g");
      await until("the member to read", async () => (await driver.member()).records.length === 2);
      await driver.streamStart("cut", partitions);
      for (let round = 0; round < 4; round++) {
        await acknowledged(200 + Math.floor(Math.random() * 400));
        if (round === 0) {
          await driver.commit();
          await driver.leave();
        }
        process.kill(target.pid, "SIGSTOP"); // nothing is acknowledged from here on
        await disk.cutPower();
        await target.kill();
        await disk.remount();
        await target.start();
      }
      await acknowledged(200);
      const result = await driver.streamStop();
      await expectNothingLost(driver, "cut", partitions, result);
      await driver.produce("group", [{ value: "three" }]);
      const again = franzGo.start(target.bootstrap);
      cleanUps.push(() => again.close());
      await again.join("group", "g");
      await until("the member to read on", async () => (await again.member()).records.length > 0);
      expect((await again.member()).records.map((r) => String(r.value))).toEqual(["three"]);
    },
    120_000,
  );

  test.if(mounts)("a full disk: writes wait, reads go on, writes go on when there is space again", async () => {
    const disk = await SmallDisk.create(6);
    cleanUps.push(() => disk.destroy());
    const { target, driver, acknowledged } = await load(join(disk.path, "data"));
    await driver.createTopic("full", 2);
    await driver.streamStart("full", 2);
    await acknowledged(200);
    await run(["sh", "-c", `cat /dev/zero > ${disk.path}/ballast`]); // until there is no space left
    await until("the acknowledgements to stop", async () => {
      const before = (await driver.streamStatus()).acked;
      await sleep(700);
      return (await driver.streamStatus()).acked === before;
    });
    const neutral = franzGo.start(target.bootstrap);
    cleanUps.push(() => neutral.close());
    const end = await neutral.offsets("full", 2, "latest");
    const records = await neutral.read("full", { 0: 0, 1: 0 }, end);
    expect(records.length).toBe(end[0]! + end[1]!);
    expect(target.log()).toMatch(/ENOSPC|no space/i);
    expect(target.log().split("\n").length).toBeLessThan(60); // it does not say so for every request
    await disk.resize(64);
    await acknowledged(200);
    await expectNothingLost(neutral, "full", 2, await driver.streamStop());
    expect(await target.stop()).toBe(0);
  });

  test.if(mounts)("a directory that cannot be written: it exits and says so", async () => {
    const disk = await SmallDisk.create(1);
    cleanUps.push(() => disk.destroy());
    await run(["mount", "-o", "remount,ro", disk.path]);
    const dataDir = join(disk.path, "data");
    const error = await load(dataDir).then(
      () => "it started",
      (e) => String(e),
    );
    expect(error).toContain("the broker exited: 1");
    expect(error).toContain(dataDir);
    expect(error).toMatch(/EROFS|read-only/i);
  });
}
