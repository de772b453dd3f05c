import { expect, test } from "bun:test";
import { FakeDisk } from "../../test/sim/fake-disk.ts";
import { SeededRandom } from "../../test/sim/seeded-random.ts";
import { OpenFile, OpenFiles } from "./open-files.ts";

function place(max: number) {
  const disk = new FakeDisk({ random: new SeededRandom(1) });
  disk.makeDirectory("/log");
  const all = Array.from({ length: 5 }, (_, i) => new OpenFile(`/log/${i}`));
  for (const { path } of all) disk.open(path, "create").close();
  return { disk, files: new OpenFiles(disk, max), all };
}

test("at most so many files stay open; the one that was not used for the longest time is closed", () => {
  const { disk, files, all } = place(3);
  for (const file of all.slice(0, 3)) files.use(file);
  files.use(all[0]!);
  files.use(all[3]!);
  expect(disk.openFiles).toBe(3);
  expect(all.map((file) => file.handle !== null)).toEqual([true, false, true, true, false]);
});

test("a held file is neither closed nor counted", () => {
  const { disk, files, all } = place(1);
  const held = files.hold(all[0]!);
  for (const file of all.slice(1)) files.use(file);
  expect(disk.openFiles).toBe(2);
  expect(held.file.size()).toBe(0);
  files.release(held);
  expect(disk.openFiles).toBe(1);
});

test("a retired file stays usable for those who hold it, and is closed with the last of them", () => {
  const { disk, files, all } = place(5);
  const [first, second] = [files.hold(all[0]!), files.hold(all[0]!)];
  expect(first).toBe(second);
  files.retire(all[0]!);
  files.release(first);
  expect(second.file.size()).toBe(0);
  files.release(second);
  expect(disk.openFiles).toBe(0);
});

test("a file that is open for reading is opened anew for writing; readers keep theirs", () => {
  const { disk, files, all } = place(5);
  const reading = files.hold(all[0]!);
  files.use(all[0]!, "write").write(Buffer.from("x"), 0);
  expect(disk.openFiles).toBe(2);
  expect(reading.file.size()).toBe(1);
  files.release(reading);
  expect(disk.openFiles).toBe(1);
  expect(files.use(all[0]!).size()).toBe(1);
  expect(disk.openFiles).toBe(1);
});

test("all or none are held", () => {
  const { disk, files, all } = place(5);
  const missing = new OpenFile("/log/none");
  expect(() => files.holdAll([all[0]!, missing])).toThrow("ENOENT");
  expect(all[0]!.handle?.holds).toBe(0);
  expect(() => files.holdOnce([all[1]!.path, missing.path])).toThrow("ENOENT");
  expect(disk.openFiles).toBe(1);
});

test("so many files can be borrowed, and no more; a file that is open anyway always can", () => {
  const { disk, files, all } = place(2);
  const tail = files.hold(all[4]!);
  const [first, again, second] = [files.borrow(all[0]!), files.borrow(all[0]!), files.borrow(all[1]!)];
  expect(first).toBe(again);
  expect(files.borrow(all[2]!)).toBeNull();
  expect(files.borrow(all[4]!)).toBe(tail);
  files.use(all[3]!); // nothing may stay open beside them
  files.use(all[2]!);
  expect(disk.openFiles).toBeLessThanOrEqual(4);
  files.giveBack(first!);
  expect(files.borrow(all[2]!)).toBeNull();
  files.giveBack(again!);
  expect(files.borrow(all[2]!)).not.toBeNull();
  expect(second!.file.size()).toBe(0);
});

test("what is borrowed outlives its owner", () => {
  const { disk, files, all } = place(2);
  const borrowed = files.borrow(all[0]!)!;
  files.close(all[0]!);
  expect(borrowed.file.size()).toBe(0);
  files.giveBack(borrowed);
  expect(disk.openFiles).toBe(0);
  expect(files.borrow(all[1]!)).not.toBeNull();
});

test("files that wait to be synced are kept open up to half of the bound, and take the place of those that nobody uses", () => {
  const { disk, files, all } = place(4);
  for (const file of all.slice(0, 4)) files.use(file);
  const handles = all.map((file) => files.hold(file));
  expect(handles.map((handle) => files.keep(handle))).toEqual([true, true, false, false, false]);
  expect(disk.openFiles).toBe(4);
  files.use(all[2]!);
  expect(disk.openFiles).toBe(4);
  for (const handle of handles.slice(0, 2)) files.letGo(handle);
  expect(disk.openFiles).toBe(4);
  expect(files.keep(files.hold(all[4]!))).toBe(true);
});

test("a borrowed file that is written to and synced meanwhile counts as borrowed no longer than somebody has it", () => {
  const { files, all } = place(4);
  const borrowed = files.borrow(all[0]!)!;
  expect(files.keep(files.hold(all[0]!))).toBe(true);
  files.giveBack(borrowed);
  files.letGo(borrowed);
  const others = all.slice(1).map((file) => files.borrow(file));
  expect(others.every((handle) => handle !== null)).toBe(true);
});
