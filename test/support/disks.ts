/** File systems that a test can fill up or cut the power of. They need root and mount; canMount says whether there is both. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cache } from "./paths.ts";
import { run } from "./tools.ts";

async function must(command: string[]): Promise<void> {
  const { code, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

function newDirectory(): string {
  mkdirSync(join(cache, "data"), { recursive: true });
  return mkdtempSync(join(cache, "data", "disk-"));
}

/** Whether this machine lets us mount (a container often does not, even as root). */
export async function canMount(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const at = newDirectory();
  const { code } = await run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at]);
  if (code === 0) await run(["umount", at]);
  rmSync(at, { recursive: true });
  return code === 0;
}

/** Whether it has loop devices too. */
export async function canMountLoop(): Promise<boolean> {
  if (!(await canMount())) return false;
  try {
    const disk = await LoopDisk.create(8);
    await disk.destroy();
    return true;
  } catch {
    return false;
  }
}

/** A small file system in memory: for a disk that is full. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** `options` are mount's. */
  static async create(mebibytes: number, ...options: string[]): Promise<SmallDisk> {
    const path = newDirectory();
    await must(["mount", "-t", "tmpfs", "-o", [`size=${mebibytes}m`, ...options].join(","), "tmpfs", path]);
    return new SmallDisk(path);
  }

  /** Makes it larger (or smaller) while it is in use. */
  async resize(mebibytes: number): Promise<void> {
    await must(["mount", "-o", `remount,size=${mebibytes}m`, this.path]);
  }

  async destroy(): Promise<void> {
    await run(["umount", "-l", this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** EXT4_IOC_SHUTDOWN without flushing the journal: from now on nothing reaches the disk. */
const SHUTDOWN = `
import fcntl, os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))
`;

/** An ext4 in a file, whose power can be cut: what was not synced is gone. */
export class LoopDisk {
  readonly path: string;
  readonly #image: string;

  private constructor(path: string, image: string) {
    this.path = path;
    this.#image = image;
  }

  static async create(mebibytes: number): Promise<LoopDisk> {
    const home = newDirectory();
    const disk = new LoopDisk(join(home, "mounted"), join(home, "image"));
    mkdirSync(disk.path);
    await must(["truncate", "-s", `${mebibytes}M`, disk.#image]);
    await must(["/sbin/mkfs.ext4", "-q", "-F", disk.#image]);
    await disk.mount();
    return disk;
  }

  async mount(): Promise<void> {
    await must(["mount", "-o", "loop", this.#image, this.path]);
  }

  /** Cuts the power: stop every process that has files open here first, and end it before remount(). */
  async cutPower(): Promise<void> {
    await must(["/usr/bin/python3", "-c", SHUTDOWN, this.path]);
  }

  /** Power is back: the journal is replayed. */
  async remount(): Promise<void> {
    await must(["umount", this.path]);
    await this.mount();
  }

  async destroy(): Promise<void> {
    await run(["umount", "-l", this.path]);
    rmSync(join(this.path, ".."), { recursive: true, force: true });
  }
}
