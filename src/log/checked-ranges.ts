/** Which bytes of a segment's file have had their CRC checked since the start: disjoint ranges in order, few by nature, bounded in any case. */

const RANGES_MAX = 64;

export class CheckedRanges {
  /** [from, to, from, to, …], ascending, not touching each other. */
  private readonly bounds: number[] = [];

  /** Whether all of [from, to) is checked. */
  covers(from: number, to: number): boolean {
    const at = this.rangeAt(from);
    return at >= 0 && this.bounds[at]! <= from && to <= this.bounds[at + 1]!;
  }

  /** Adds [from, to). Beyond 64 ranges the smallest is forgotten: its bytes are then checked once more. */
  add(from: number, to: number): void {
    if (to <= from) return;
    const { bounds } = this;
    if (bounds.length > 0 && bounds[bounds.length - 1] === from) {
      bounds[bounds.length - 1] = to; // an append
      return;
    }
    let start = 0;
    while (start < bounds.length && bounds[start + 1]! < from) start += 2;
    let end = start;
    let low = from;
    let high = to;
    while (end < bounds.length && bounds[end]! <= to) {
      low = Math.min(low, bounds[end]!);
      high = Math.max(high, bounds[end + 1]!);
      end += 2;
    }
    bounds.splice(start, end - start, low, high);
    if (bounds.length > RANGES_MAX * 2) this.forgetSmallest();
  }

  /** Forgets everything from `size` on. */
  truncate(size: number): void {
    const { bounds } = this;
    while (bounds.length > 0 && bounds[bounds.length - 2]! >= size) bounds.length -= 2;
    if (bounds.length > 0 && bounds[bounds.length - 1]! > size) bounds[bounds.length - 1] = size;
  }

  /** Index of the last range that begins at or before `position`, -1 if none. */
  private rangeAt(position: number): number {
    let low = 0;
    let high = this.bounds.length / 2;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.bounds[middle * 2]! <= position) low = middle + 1;
      else high = middle;
    }
    return (low - 1) * 2;
  }

  private forgetSmallest(): void {
    let smallest = 0;
    for (let i = 2; i < this.bounds.length; i += 2)
      if (this.bounds[i + 1]! - this.bounds[i]! < this.bounds[smallest + 1]! - this.bounds[smallest]!) smallest = i;
    this.bounds.splice(smallest, 2);
  }
}
