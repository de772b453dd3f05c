import { describe, expect, test } from "bun:test";
import { Alarm, Alarms } from "./alarms.ts";

function due(alarms: Alarms<string>, nowMs: number): string[] {
  const names: string[] = [];
  for (let alarm = alarms.takeDue(nowMs); alarm !== null; alarm = alarms.takeDue(nowMs)) names.push(alarm.subject);
  return names;
}

describe("Alarms", () => {
  test("are due in order of time, and of setting when the time is the same", () => {
    const alarms = new Alarms<string>();
    alarms.set(new Alarm("c"), 30);
    alarms.set(new Alarm("a"), 10);
    alarms.set(new Alarm("b1"), 20);
    alarms.set(new Alarm("b2"), 20);
    expect(alarms.nextMs).toBe(10);
    expect(due(alarms, 9)).toEqual([]);
    expect(due(alarms, 20)).toEqual(["a", "b1", "b2"]);
    expect(alarms.nextMs).toBe(30);
  });

  test("can be moved both ways and cleared", () => {
    const alarms = new Alarms<string>();
    const [a, b, c] = [new Alarm("a"), new Alarm("b"), new Alarm("c")];
    alarms.set(a, 10);
    alarms.set(b, 20);
    alarms.set(c, 30);
    alarms.set(a, 40);
    alarms.set(c, 5);
    alarms.clear(b);
    alarms.clear(b);
    expect(b.isSet).toBe(false);
    expect(alarms.size).toBe(2);
    expect(due(alarms, 100)).toEqual(["c", "a"]);
    expect(alarms.nextMs).toBe(Number.POSITIVE_INFINITY);
  });

  test("a thousand random moves leave the order that sorting gives", () => {
    const alarms = new Alarms<number>();
    const times = new Map<Alarm<number>, number>();
    const all = Array.from({ length: 100 }, (_, i) => new Alarm(i));
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * below);
    };
    for (let i = 0; i < 1000; i++) {
      const alarm = all[random(all.length)]!;
      if (random(4) === 0) {
        alarms.clear(alarm);
        times.delete(alarm);
      } else {
        const atMs = random(1_000_000);
        alarms.set(alarm, atMs);
        times.set(alarm, atMs);
      }
    }
    const got: number[] = [];
    for (let alarm = alarms.takeDue(1e9); alarm !== null; alarm = alarms.takeDue(1e9)) got.push(alarm.atMs);
    expect(got).toEqual([...times.values()].sort((a, b) => a - b));
  });
});
