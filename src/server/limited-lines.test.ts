import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import type { LogFields } from "../base/logger.ts";
import { silentLogger } from "../base/logger.ts";
import { LimitedLines } from "./limited-lines.ts";

test("ten lines of a kind in ten seconds, and then how many were left out", async () => {
  const written: [string, LogFields | undefined][] = [];
  const clock = new FakeClock();
  const lines = new LimitedLines({ ...silentLogger, warn: (message, fields) => written.push([message, fields]) }, clock);
  for (let i = 0; i < 25; i++) lines.warn("a", { i });
  lines.warn("b", { i: 0 });
  expect(written.length).toBe(11);
  expect(written.at(-1)).toEqual(["b", { i: 0 }]);
  await clock.advance(10_000);
  for (let i = 0; i < 2; i++) lines.warn("a", { i });
  expect(written.slice(11)).toEqual([
    ["a", { i: 0, leftOut: 15 }],
    ["a", { i: 1 }],
  ]);
  await clock.advance(10_000);
  lines.warn("a", { i: 9 });
  expect(written.at(-1)).toEqual(["a", { i: 9 }]);
});
