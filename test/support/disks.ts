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
  readonly #options: readonly string[];

  private constructor(path: string, image: string, options: readonly string[]) {
    this.path = path;
    this.#image = image;
    this.#options = options;
  }

  /** The image lies in `home`, which is this disk's alone. `options` are mount's. */
  static async create(mebibytes: number, home = newDirectory(), ...options: string[]): Promise<LoopDisk> {
    const disk = new LoopDisk(join(home, "mounted"), join(home, "image"), ["loop", ...options]);
    mkdirSync(disk.path);
    await must(["truncate", "-s", `${mebibytes}M`, disk.#image]);
    // What the file system needs for itself is written to the image, zeros and all: a FailingDisk fails elsewhere.
    const whole = ["env", "UNIX_IO_NOZEROOUT=1", "/sbin/mkfs.ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"];
    await must([...whole, "-q", "-F", disk.#image]);
    await disk.mount();
    return disk;
  }

  async mount(): Promise<void> {
    await must(["mount", "-o", this.#options.join(","), this.#image, this.path]);
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

/**
 * A disk that can be told to fail: its image lies on a file system that has no room left. Places that were written to once can be written to
 * again; others refuse, later, when nobody waits. Its ext4 goes on all the same, as others do: the one who syncs is told, once.
 */
export class FailingDisk {
  private readonly memory: SmallDisk;
  private readonly disk: LoopDisk;

  private constructor(memory: SmallDisk, disk: LoopDisk) {
    this.memory = memory;
    this.disk = disk;
  }

  static async create(mebibytes: number): Promise<FailingDisk> {
    const memory = await SmallDisk.create(mebibytes);
    try {
      const home = join(memory.path, "disk");
      mkdirSync(home);
      return new FailingDisk(memory, await LoopDisk.create(mebibytes - 8, home, "data_err=ignore"));
    } catch (error) {
      await memory.destroy();
      throw error;
    }
  }

  get path(): string {
    return this.disk.path;
  }

  private get ballast(): string {
    return join(this.memory.path, "ballast");
  }

  /** From now on new places of the disk refuse what is written to them: the system notices when it writes back. */
  async fail(): Promise<void> {
    await must(["/usr/sbin/fsfreeze", "--freeze", this.path]); // what is in the file system's journal comes to its place
    await must(["/usr/sbin/fsfreeze", "--unfreeze", this.path]);
    await run(["sh", "-c", `cat /dev/zero > ${this.ballast}`]); // ends with an error, when there is no room
  }

  /** New writes succeed. Those that failed are not done again. */
  mend(): void {
    rmSync(this.ballast, { force: true });
  }

  cutPower(): Promise<void> {
    return this.disk.cutPower();
  }

  remount(): Promise<void> {
    return this.disk.remount();
  }

  async destroy(): Promise<void> {
    await this.disk.destroy();
    await this.memory.destroy();
  }
}
