/** More partitions are written to at once than files may be open. */
import { expect, test } from "bun:test";
import { Produce } from "../../src/protocol/messages/00-produce.ts";
import { ListOffsets } from "../../src/protocol/messages/02-list-offsets.ts";
import { BrokerWorld } from "./broker-world.ts";
import { batchOf, create, produceRequest, resultOf, TOPIC } from "./data-requests.ts";

const PARTITIONS = 200;
const OPEN_FILES_MAX = 16;
/** The metadata log, the recovery points, a file that is being synced by its path. */
const OTHER_FILES = 8;
const LATEST = -1;

for (const durability of ["sync", "page-cache"] as const)
  for (const hasSyncFileSystem of [true, false])
    test(`${durability}, ${hasSyncFileSystem ? "with" : "without"} syncfs: what was acknowledged is there, and the files stay bounded`, async () => {
      const world = new BrokerWorld(7, { openFilesMax: OPEN_FILES_MAX, durability }, { hasSyncFileSystem });
      await world.start();
      await create(world, PARTITIONS);
      let most = 0;
      for (let round = 1; round <= 3; round++) {
        const sent = Array.from({ length: PARTITIONS }, (_, index) =>
          world.send(Produce, 12, produceRequest(index, batchOf(world, `${round} in ${index}`))),
        );
        most = Math.max(most, world.disk.openFiles);
        for (const { ended } of sent) await world.clock.run(ended);
        expect(sent.map(({ response }) => resultOf(response).errorCode)).toEqual(new Array(PARTITIONS).fill(0));
        most = Math.max(most, world.disk.openFiles);
      }
      expect(most).toBeLessThanOrEqual(OPEN_FILES_MAX + OTHER_FILES);
      if (durability === "sync") world.crash("power");
      else await world.stop();
      await world.start();
      const partitions = Array.from({ length: PARTITIONS }, (_, partitionIndex) => ({ partitionIndex, timestamp: LATEST }));
      const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: TOPIC, partitions }], timeoutMs: 1000 };
      const { topics } = await world.ask(ListOffsets, request);
      expect(topics[0]!.partitions.map(({ offset }) => offset)).toEqual(new Array(PARTITIONS).fill(3));
    });
