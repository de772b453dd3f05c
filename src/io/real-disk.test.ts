/** The real disk, on the temporary directory of this machine. */
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { blockBuffer } from "./block-buffer.ts";
import { BLOCK_BYTES, DiskError, readWholeFile, replaceFile } from "./disk.ts";
import { isCached, kernelReportsSyncfsErrors } from "./libc.ts";
import { realDisk as disk } from "./real-disk.ts";

const root = mkdtempSync(`${tmpdir()}/real-disk-`);
afterAll(() => rmSync(root, { recursive: true }));
/** What is on it is in memory and nowhere else. */
const TMPFS = 0x01021994;
const path = (name: string): string => `${root}/${name}`;

describe("a file", () => {
  test("holds what was written where it was written", async () => {
    const file = disk.open(path("a"), "create");
    file.write(Buffer.from("hello"), 3);
    file.write(Buffer.alloc(300_000, 7), 8);
    expect(readFileSync(path("a")).subarray(0, 9).toString("latin1")).toBe("\0\0\0hello\x07");
    expect(file.size()).toBe(300_008);
    for (const read of [
      (into: Uint8Array, at: number) => file.read(into, at),
      (into: Uint8Array, at: number) => file.readCold(into, at),
    ]) {
      const into = Buffer.alloc(10);
      expect(await read(into, 3)).toBe(10);
      expect(into.toString("latin1")).toBe("hello\x07\x07\x07\x07\x07");
      expect(await read(into, 300_000)).toBe(8);
      expect(await read(into, 400_000)).toBe(0);
    }
    await file.sync();
    file.truncate(4);
    expect(file.size()).toBe(4);
    file.close();
  });

  test.if(process.platform === "linux")("is read from the page cache where it is there", () => {
    const file = disk.open(path("hot"), "create");
    file.write(Buffer.from("0123456789"), 0);
    const into = Buffer.from(new ArrayBuffer(100)).subarray(50, 54);
    expect(file.readHot(into, 2)).toBe(4);
    expect(into.toString()).toBe("2345");
    expect(file.readHot(Buffer.alloc(4), 100)).toBe(0);
    file.close();
  });

  test.if(process.platform === "linux")("whose cache is dropped is read from the disk again", async () => {
    const bytes = Buffer.alloc(1_000_000, 5);
    const file = disk.open(path("dropped"), "create");
    file.write(bytes, 0);
    await file.sync();
    expect(disk.dropCached(path("dropped"))).toBeTrue();
    const fd = openSync(path("dropped"), "r");
    expect(isCached(fd, 0, bytes.length)).toBe(statfsSync(root).type === TMPFS);
    file.write(Buffer.from("new"), 100);
    disk.dropCached(path("dropped"));
    bytes.write("new", 100);
    expect(readFileSync(path("dropped")).equals(bytes)).toBeTrue();
    closeSync(fd);
    file.close();
    expect(() => disk.dropCached(path("no such file"))).toThrow("ENOENT");
  });

  test("written durably holds what was written, past the page cache or not", async () => {
    const file = disk.openDurable(path("durable"));
    await file.write(blockBuffer(2 * BLOCK_BYTES).fill(1), 0);
    await file.write(
      blockBuffer(3 * BLOCK_BYTES)
        .fill(2)
        .subarray(0, BLOCK_BYTES),
      BLOCK_BYTES,
    );
    await file.write(Buffer.alloc(BLOCK_BYTES + 1, 3).subarray(1), 2 * BLOCK_BYTES); // a direct write would refuse it
    await file.write(blockBuffer(BLOCK_BYTES).fill(4), 3 * BLOCK_BYTES);
    file.close();
    const bytes = readFileSync(path("durable"));
    expect(bytes.length).toBe(4 * BLOCK_BYTES);
    for (let i = 0; i < 4; i++) expect(bytes.indexOf(i + 1)).toBe(i * BLOCK_BYTES);
    disk.openDurable(path("durable")).close();
    expect(statSync(path("durable")).size).toBe(4 * BLOCK_BYTES);
    expect(() => disk.openDurable(path("none/d"))).toThrow(`open ${path("none/d")}: ENOENT`);
  });

  test("opened for reading cannot be written, and must exist", () => {
    writeFileSync(path("r"), "x");
    const file = disk.open(path("r"), "read");
    expect(() => file.write(Buffer.from("y"), 0)).toThrow("EBADF");
    file.close();
    for (const mode of ["read", "write"] as const) expect(() => disk.open(path("missing"), mode)).toThrow(DiskError);
  });

  test("errors carry operation, path and code", () => {
    try {
      disk.open(path("none/file"), "create");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(DiskError);
      expect(error).toMatchObject({ operation: "open", path: path("none/file"), code: "ENOENT" });
    }
  });
});

describe("directories", () => {
  test("are made with their parents, listed in order, synced, removed with all in them", async () => {
    disk.makeDirectory(path("d/e"));
    disk.makeDirectory(path("d/e"));
    writeFileSync(path("d/z"), "");
    writeFileSync(path("d/B"), "");
    expect(disk.list(path("d"))).toEqual([
      { name: "B", isDirectory: false },
      { name: "e", isDirectory: true },
      { name: "z", isDirectory: false },
    ]);
    expect(disk.list(path("nothing"))).toBeNull();
    await disk.syncDirectory(path("d"));
    expect(disk.syncDirectory(path("nothing"))).rejects.toThrow("fsync");
    disk.removeTree(path("d"));
    disk.removeTree(path("d"));
    expect(disk.exists(path("d"))).toBeFalse();
  });

  test("files are renamed over others, and removed once or twice", async () => {
    await replaceFile(disk, path("f"), Buffer.from("old"));
    await replaceFile(disk, path("f"), Buffer.from("new"));
    expect(Buffer.from(readWholeFile(disk, path("f"))!).toString()).toBe("new");
    expect(disk.exists(path("f.tmp"))).toBeFalse();
    disk.rename(path("f"), path("g"));
    expect(() => disk.rename(path("f"), path("g"))).toThrow("ENOENT");
    disk.remove(path("g"));
    disk.remove(path("g"));
    expect(readWholeFile(disk, path("g"))).toBeNull();
  });

  test("files are removed in the pool; whoever has one open keeps it", async () => {
    const file = disk.open(path("pool"), "create");
    file.write(Buffer.from("kept"), 0);
    expect(Math.abs(file.modifiedMs() - Date.now())).toBeLessThan(60_000);
    file.setModifiedMs(1_600_000_000_123);
    expect(file.modifiedMs()).toBe(1_600_000_000_123);
    expect(statSync(path("pool")).mtimeMs).toBe(1_600_000_000_123);
    file.write(Buffer.from("kept"), 0);
    expect(Math.abs(file.modifiedMs() - Date.now())).toBeLessThan(60_000);
    await disk.removeInPool(path("pool"));
    await disk.removeInPool(path("pool"));
    expect(disk.exists(path("pool"))).toBeFalse();
    expect(file.read(Buffer.alloc(4), 0)).toBe(4);
    file.close();
    disk.makeDirectory(path("dir"));
    expect(disk.removeInPool(path("dir"))).rejects.toThrow(DiskError);
  });
});

describe("syncfs", () => {
  test.if(process.platform === "linux")("syncs, several at once", async () => {
    const syncFileSystem = disk.syncFileSystem;
    if (syncFileSystem === null) return; // an old kernel, or FFI is forbidden: the caller syncs file by file
    writeFileSync(path("s"), "x");
    await Promise.all([syncFileSystem(root), syncFileSystem(root)]);
    await syncFileSystem(root);
  });

  test("is believed from Linux 5.8 on", () => {
    expect(["4.19.0", "5.7.19", "5.8.0", "5.10.0-28-amd64", "6.1.0", "10.0"].map(kernelReportsSyncfsErrors)).toEqual([
      false,
      false,
      true,
      true,
      true,
      true,
    ]);
  });
});

describe("a lock", () => {
  test("is exclusive, and free after release", () => {
    const lock = disk.lock(path(".lock"));
    expect(lock).not.toBeNull();
    expect(disk.lock(path(".lock"))).toBeNull();
    lock!.release();
    const again = disk.lock(path(".lock"));
    expect(again).not.toBeNull();
    again!.release();
  });

  test("of a process that was killed is free", async () => {
    const source = `import { realDisk } from ${JSON.stringify(new URL("./real-disk.ts", import.meta.url).pathname)};
      console.log(realDisk.lock(${JSON.stringify(path(".killed"))}) === null ? "held" : "taken"); setInterval(() => {}, 1000);`;
    const child = Bun.spawn([process.execPath, "-e", source], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("taken\n");
    expect(disk.lock(path(".killed"))).toBeNull();
    child.kill("SIGKILL");
    await child.exited;
    const lock = disk.lock(path(".killed"));
    expect(lock).not.toBeNull();
    lock!.release();
  });
});
