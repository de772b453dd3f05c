/**
 * Who of a topic's subscribers has least, and who has most, while partitions move from one to the other. Members are sorted once
 * by how many they have; a range of the least loaded grows from the left, one of the most loaded from the right.
 * Source: UniformHeterogeneousAssignmentBuilder.MemberAssignmentBalancer.
 */
export class Balancer {
  /** Partitions of each member, as the caller keeps it. */
  private readonly sizes: Int32Array;
  private sorted: number[] = [];
  /** All members below this have `leastCount`, or one more if they have had their turn. */
  private leastEnd = 0;
  private leastCount = -1;
  private nextLeast = 0;
  /** Members from here up to `mostEnd` have `mostCount`, or one less if they have had their turn. Those behind have nothing to give. */
  private mostStart = 0;
  private mostEnd = 0;
  private mostCount = 1;
  private nextMost = -1;

  constructor(sizes: Int32Array) {
    this.sizes = sizes;
  }

  /** For these members from now on; gives by how many partitions they differ. */
  begin(members: readonly number[]): number {
    const { sizes } = this;
    this.sorted = [...members].sort((a, b) => sizes[a]! - sizes[b]! || a - b);
    const [least, most] = [this.size(0), this.size(members.length - 1)];
    this.leastEnd = 0;
    this.leastCount = least - 1;
    this.nextLeast = 0;
    this.mostStart = members.length;
    this.mostEnd = members.length;
    this.mostCount = most + 1;
    this.nextMost = members.length - 1;
    return most - least;
  }

  /** The member that a partition should go to; it is taken to have one more from now on. */
  nextLeastLoaded(): number {
    if (this.nextLeast >= this.leastEnd) {
      this.leastCount++;
      while (this.leastEnd < this.sorted.length && this.size(this.leastEnd) === this.leastCount) this.leastEnd++;
      this.nextLeast = 0;
    }
    return this.sorted[this.nextLeast++]!;
  }

  /** The member that a partition should come from, -1 if there is none; it is taken to have one less from now on. */
  nextMostLoaded(): number {
    if (this.nextMost < this.mostStart) {
      const isEmpty = this.mostEnd <= this.mostStart && this.mostStart > 0;
      this.mostCount = isEmpty ? this.size(this.mostStart - 1) : this.mostCount - 1;
      while (this.mostStart > 0 && this.size(this.mostStart - 1) === this.mostCount) this.mostStart--;
      this.nextMost = this.mostEnd - 1;
    }
    return this.nextMost < 0 ? -1 : this.sorted[this.nextMost--]!;
  }

  /** The member that `nextMostLoaded` gave has nothing to give: it goes behind the range. */
  excludeMostLoaded(): void {
    const at = this.nextMost + 1;
    const member = this.sorted[at]!;
    this.sorted[at] = this.sorted[this.mostEnd - 1]!;
    this.sorted[this.mostEnd - 1] = member;
    this.mostEnd--;
  }

  get isBalanced(): boolean {
    return this.mostCount - this.leastCount <= 1;
  }

  private size(at: number): number {
    return this.sizes[this.sorted[at]!]!;
  }
}
