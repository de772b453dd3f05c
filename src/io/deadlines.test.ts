import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";

test("deadlines run in order of time behind one timer; cancelled ones do not", async () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const ran: number[] = [];
  const made = [30, 10, 20, 40].map((delayMs) => deadlines.in(delayMs, () => ran.push(delayMs)));
  expect(clock.waiting).toBe(1);
  made[2]!.cancel();
  await clock.advance(35);
  expect([ran, deadlines.size]).toEqual([[10, 30], 1]);
});

test("cancelling late, twice, or from inside counts nothing twice", async () => {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  let own: Deadline | null = null;
  own = deadlines.in(1, () => own?.cancel());
  const early = deadlines.in(1, () => {});
  early.cancel();
  early.cancel();
  await clock.advance(2);
  own.cancel();
  deadlines.in(5, () => {});
  expect(deadlines.size).toBe(1);
});

test("thousands of cancelled ones do not pile up", () => {
  const deadlines = new Deadlines(new FakeClock());
  const ran: number[] = [];
  for (let i = 0; i < 10_000; i++) deadlines.in(1000 + i, () => ran.push(i)).cancel();
  deadlines.in(5, () => {});
  expect(deadlines.size).toBe(1);
  deadlines.close();
  expect(deadlines.size).toBe(0);
});
