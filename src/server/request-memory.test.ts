import { describe, expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { type MemoryHolder, RequestMemory } from "./request-memory.ts";

/** 16 units: 12 for ordinary reading, 4 for turns. */
const UNIT = 1 << 20;

class Holder implements MemoryHolder {
  heldBytes = 0;
  missingBytes = 0;
  rooms = 0;
  onRoom(): void {
    this.rooms++;
  }
}

function make(units = 16) {
  const clock = new FakeClock();
  const memory = new RequestMemory(units * UNIT, clock);
  const hold = (units: number, missing = 0): Holder => {
    const holder = new Holder();
    holder.missingBytes = missing * UNIT;
    memory.account(holder, units * UNIT);
    return holder;
  };
  return { clock, memory, hold };
}

describe("the memory for requests", () => {
  test("alone, one may hold a fifth of the ordinary part: a quarter of what it leaves", () => {
    const { memory, hold } = make();
    expect(memory.roomBytes).toBe(3 * UNIT);
    expect(memory.mayRead(hold(2.3))).toBe(true);
    expect(make().memory.mayRead(new Holder())).toBe(true);
    const other = make();
    expect(other.memory.mayRead(other.hold(2.4))).toBe(false);
  });

  test("however many hold as much as they may, the next finds room, and he who holds nothing may always read", () => {
    for (const count of [1, 10, 100, 1000]) {
      const { memory } = make();
      const holders = Array.from({ length: count }, () => new Holder());
      for (let grew = true; grew; ) {
        grew = false;
        for (const holder of holders) {
          if (!memory.mayRead(holder)) continue;
          memory.account(holder, holder.heldBytes + 100);
          grew = true;
        }
      }
      const each = (12 * UNIT) / (4 + count);
      for (const { heldBytes } of holders) expect(Math.abs(heldBytes - each)).toBeLessThan(1000);
      const small = new Holder();
      expect(memory.mayRead(small)).toBe(true);
      memory.account(small, each / 2);
      expect(memory.mayRead(small)).toBe(true);
    }
  });

  test("those that wait are told when there is room again", async () => {
    const { clock, memory, hold } = make();
    const large = hold(9);
    const waits = hold(2);
    expect(memory.mayRead(waits)).toBe(false);
    memory.wait(waits);
    await clock.advance(100);
    expect(waits.rooms).toBe(0);
    memory.account(large, 0);
    await clock.advance(10);
    expect(waits.rooms).toBe(1);
    expect(clock.waiting).toBe(0);
  });

  test("unfinished requests take turns: those that lack least first, as many as the reserve has room for", async () => {
    const { clock, memory, hold } = make();
    const holders = [hold(3, 9), hold(3, 2), hold(3, 3), hold(3, 1.5), hold(0.1, 0)];
    for (const holder of holders) memory.wait(holder);
    await clock.advance(10);
    const turns = () => holders.map((holder) => memory.hasTurn(holder));
    expect(turns()).toEqual([false, true, true, true, false]); // 1.5 and 2 of 4; and one may always be too large: 3
    expect(memory.mayRead(holders[1]!)).toBe(true);
    memory.endTurn(holders[1]!);
    expect(turns()).toEqual([false, false, true, true, false]); // 9 is too large, and 3 is already
    const late = hold(0.1, 2);
    memory.wait(late);
    memory.endTurn(holders[3]!);
    expect(turns()).toEqual([false, false, true, false, false]);
    expect(memory.hasTurn(late)).toBe(true); // the large one does not keep the small ones out
    memory.leave(holders[2]!);
    expect(turns()).toEqual([true, false, false, false, false]);
    expect(holders.map(({ rooms }) => rooms)).toEqual([1, 1, 1, 1, 0]);
  });

  test("above the whole budget relief is sought, turns aside", async () => {
    const { clock, memory, hold } = make();
    let asked = 0;
    memory.onExceeded = () => {
      asked++;
    };
    const turn = hold(8, 4);
    memory.wait(turn);
    await clock.advance(10);
    expect(memory.hasTurn(turn)).toBe(true);
    const other = hold(16);
    await clock.advance(1);
    expect(asked).toBe(0);
    memory.account(other, 17 * UNIT);
    expect(asked).toBe(0); // soon
    await clock.advance(1);
    expect(asked).toBe(1);
    memory.account(other, 21 * UNIT);
    expect(asked).toBe(2); // at once
    memory.account(other, UNIT);
    await clock.advance(1);
    expect(asked).toBe(2);
  });

  test("it is scarce when somebody waits or half is held", () => {
    const { memory, hold } = make();
    let told = 0;
    memory.onScarce = () => {
      told++;
    };
    expect(memory.isScarce).toBe(false);
    const waits = hold(4, 1);
    expect(memory.isScarce).toBe(false);
    memory.wait(waits);
    expect([memory.isScarce, told]).toEqual([true, 1]);
    memory.leave(waits);
    expect(memory.isScarce).toBe(false);
    hold(5);
    expect([memory.isScarce, told]).toEqual([true, 2]);
  });
});
