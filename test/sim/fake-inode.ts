/** A file of the simulated disk: what programs see now, what would survive a power cut, and the writes in between. */
import type { SeededRandom } from "./seeded-random.ts";

/** The unit in which a real disk writes all or nothing. */
const SECTOR_BYTES = 512;

type Change = { readonly at: number; readonly bytes: Uint8Array } | { readonly size: number };

class Content {
  bytes = new Uint8Array(256);
  size = 0;

  write(bytes: Uint8Array, at: number): void {
    this.reserve(at + bytes.length);
    this.bytes.set(bytes, at);
    this.size = Math.max(this.size, at + bytes.length);
  }

  resize(size: number): void {
    this.reserve(size);
    if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }

  copyFrom(other: Content): void {
    this.bytes = other.bytes.slice();
    this.size = other.size;
  }

  private reserve(size: number): void {
    if (size <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(size, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.size));
    this.bytes = larger;
  }
}

export class FakeInode {
  private readonly current = new Content();
  private readonly durable = new Content();
  /** Not synced yet, the oldest first. */
  private pending: Change[] = [];
  /** Changes that have ever become durable, or were lost. */
  private settled = 0;
  modifiedMs: number;

  constructor(nowMs: number) {
    this.modifiedMs = nowMs;
  }

  get size(): number {
    return this.current.size;
  }

  write(bytes: Uint8Array, at: number, nowMs: number): void {
    this.modifiedMs = nowMs;
    this.current.write(bytes, at);
    this.pending.push({ at, bytes: new Uint8Array(bytes) }); // a copy: slice of a Buffer is none
  }

  truncate(size: number, nowMs: number): void {
    this.modifiedMs = nowMs;
    this.current.resize(size);
    this.pending.push({ size });
  }

  read(into: Uint8Array, at: number): number {
    const got = Math.max(0, Math.min(into.length, this.current.size - at));
    into.set(this.current.bytes.subarray(at, at + got));
    return got;
  }

  /** Flips bits behind everybody's back. */
  damage(at: number, mask: number): void {
    for (const content of [this.current, this.durable]) if (at < content.size) content.bytes[at]! ^= mask;
  }

  /** Where the changes so far end: what a sync that begins now has to make durable. */
  mark(): number {
    return this.settled + this.pending.length;
  }

  /** Everything up to `mark` is on the disk. */
  settle(mark: number): void {
    const count = mark - this.settled;
    if (count <= 0) return;
    for (const change of this.pending.splice(0, count)) apply(this.durable, change);
    this.settled = mark;
  }

  /** A write-back has failed: what was not on the disk is in memory only, and counts as written. */
  failWriteBack(): void {
    this.settled += this.pending.length;
    this.pending = [];
  }

  /** What is in memory only, and counts as written, is gone from there; the size stays. */
  dropCached(): void {
    this.settle(this.mark());
    const { size } = this.current;
    this.current.copyFrom(this.durable);
    this.current.resize(Math.max(size, this.current.size));
  }

  /** The power is cut: of what was not synced each write may be there, not, or in parts. */
  cutPower(random: SeededRandom): void {
    const mood = random.int(4); // now and then all or nothing survives
    for (const change of this.pending) {
      if (mood === 0) continue;
      if (mood === 1 || random.chance(0.4)) apply(this.durable, change);
      else if ("bytes" in change && random.chance(0.6)) this.tear(change.at, change.bytes, random);
    }
    this.settled += this.pending.length;
    this.pending = [];
    this.current.copyFrom(this.durable);
  }

  /** Some sectors of a write arrive. The size may have grown all the same: then there are zeros. */
  private tear(at: number, bytes: Uint8Array, random: SeededRandom): void {
    const size = this.durable.size;
    const end = at + bytes.length;
    for (let from = at; from < end; ) {
      const to = Math.min(end, (Math.floor(from / SECTOR_BYTES) + 1) * SECTOR_BYTES);
      if (random.chance(0.5)) this.durable.write(bytes.subarray(from - at, to - at), from);
      from = to;
    }
    if (end > size && random.chance(0.5)) this.durable.resize(Math.max(this.durable.size, end));
  }
}

function apply(content: Content, change: Change): void {
  if ("bytes" in change) content.write(change.bytes, change.at);
  else content.resize(change.size);
}
