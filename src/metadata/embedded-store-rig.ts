import { FakeClock } from "../../test/sim/fake-clock.ts";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { silentLogger } from "../base/logger.ts";
import type { Clock } from "../io/clock.ts";
import type { Disk } from "../io/disk.ts";
import type { Random } from "../io/random.ts";
import type { Durability } from "../log/log.ts";
import { DEFAULT_LOG_DIRECTORY_CONFIG, LogDirectory } from "../log/log-directory.ts";
import { EmbeddedStore, METADATA_LOG_CONFIG } from "./embedded-store.ts";
import type { Op } from "./store.ts";

export interface Place {
  disk: Disk;
  clock: Clock;
  random: Random;
  path: string;
  onFatal?: (error: unknown) => void;
}

export const unexpected = (error: unknown): void => {
  throw error;
};

export const openDirectory = (
  { disk, clock, random, path, onFatal = unexpected }: Place,
  durability: Durability = "sync",
): Promise<LogDirectory> =>
  LogDirectory.open({
    disk,
    clock,
    random,
    path,
    logger: silentLogger,
    onFatal,
    config: { ...DEFAULT_LOG_DIRECTORY_CONFIG, durability, recoveryPointIntervalMs: 5 },
  });

export const text = (value: Uint8Array): string => Buffer.from(value).toString();
export const put = (key: string, value: string): Op => ({ put: key, value: Buffer.from(value) });
const topicId = "AAAAAAAAAAAAAAAAAAAAAQ";
export const SNAPSHOT = "/data/quarkmq-metadata-snapshot";

/** A store on a simulated disk whose syncs take simulated time, with small segments and frequent snapshots. */
export class World {
  readonly clock = new FakeClock();
  readonly random: SeededRandom;
  readonly disk: FakeDisk;
  readonly fatal: unknown[] = [];
  readonly warnings: string[] = [];
  powerCuts = 0;
  snapshotAfterBytes = 700;
  segmentBytes = 400;
  logs!: LogDirectory;
  store!: EmbeddedStore;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new FakeDisk({ random: this.random, clock: this.clock });
  }

  async open(): Promise<EmbeddedStore> {
    const { disk, clock, random } = this;
    const onFatal = (error: unknown) => void this.fatal.push(error);
    const logger = { ...silentLogger, warn: (message: string) => void this.warnings.push(message) };
    const opened = (async () => {
      this.logs = await openDirectory({ disk, clock, random, path: "/data", onFatal });
      const place = { topic: "__cluster_metadata", partition: 0, topicId };
      const log = await this.logs.openLog({ ...place, config: { ...METADATA_LOG_CONFIG, segmentBytes: this.segmentBytes } });
      const { snapshotAfterBytes } = this;
      return EmbeddedStore.open({ log, disk, clock, logger, onFatal, snapshotPath: SNAPSHOT, snapshotAfterBytes });
    })();
    this.store = await clock.run(opened);
    return this.store;
  }

  crash(how: "kill" | "power"): void {
    if (how === "kill") this.disk.kill();
    else this.disk.cutPower();
    if (how === "power") this.powerCuts++;
    this.clock.reset();
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.run(promise);
  }

  async contents(prefix = ""): Promise<string[]> {
    const { kvs } = await this.run(this.store.snapshot(prefix));
    return kvs.map((kv) => `${kv.key}=${text(kv.value)}`);
  }
}
