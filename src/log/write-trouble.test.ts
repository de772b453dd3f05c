import { expect, test } from "bun:test";
import { FakeClock } from "../../test/sim/fake-clock.ts";
import { silentLogger } from "../base/logger.ts";
import { WriteTrouble } from "./write-trouble.ts";

test("a full disk is told at once, then now and then, and that it is over", async () => {
  const lines: string[] = [];
  const tell = (message: string, fields?: object) => lines.push(`${message.split(";")[0]} ${JSON.stringify(fields)}`);
  const clock = new FakeClock();
  const trouble = new WriteTrouble({ ...silentLogger, error: tell, info: tell }, clock);
  for (let i = 0; i < 1000; i++) trouble.failed(`t-${i % 3}`, "ENOSPC");
  expect(lines).toEqual(['appends fail {"log":"t-0","reason":"ENOSPC","failingLogs":1}']);
  await clock.advance(10_001);
  trouble.failed("t-1", "ENOSPC");
  expect(lines[1]).toBe('appends fail {"log":"t-1","reason":"ENOSPC","failingLogs":3}');
  for (const log of ["t-0", "t-1", "other"]) trouble.worked(log);
  expect([trouble.isThere, lines.length]).toEqual([true, 2]);
  trouble.worked("t-2");
  expect(lines[2]).toBe('appends work again {"log":"t-2"}');
  expect(trouble.isThere).toBeFalse();
});
