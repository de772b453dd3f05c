import { describe, expect, test } from "bun:test";
import { createLogLines } from "./log-lines.ts";
import type { LogLevel } from "./logger.ts";

function lines(level: LogLevel, format: "text" | "json") {
  const written: string[] = [];
  return { written, logger: createLogLines({ level, format, write: (line) => written.push(line) }) };
}

describe("log lines", () => {
  test("text has the time, the level, the message and the fields", () => {
    const { written, logger } = lines("info", "text");
    logger.info("topic created", { topic: "test", partitions: 3, cause: null, left: undefined });
    expect(written).toHaveLength(1);
    expect(written[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]{12}Z info {2}topic created topic=test partitions=3 cause=null\n$/);
  });

  test("lines below the level are dropped", () => {
    const { written, logger } = lines("warn", "text");
    logger.debug("a");
    logger.info("b");
    logger.warn("c");
    logger.error("d");
    expect(written.map((line) => line.slice(25))).toEqual(["warn  c\n", "error d\n"]);
  });

  test("what a client sends cannot forge a line or a field", () => {
    const { written, logger } = lines("info", "text");
    logger.info("two\nlines\u001b[31m", { client: 'a b="c\n', empty: "", newline: "x\ny" });
    expect(written[0]!.slice(25)).toBe('info  two\\nlines\\u{1b}[31m client="a b=\\"c\\n" empty="" newline="x\\ny"\n');
  });

  test("json is one object a line, and fields cannot replace its own members", () => {
    const { written, logger } = lines("debug", "json");
    logger.debug("hello", { level: "forged", offset: 7, text: "a\nb" });
    expect(written[0]!.endsWith("}\n")).toBe(true);
    const { time, ...rest } = JSON.parse(written[0]!);
    expect(rest).toEqual({ level: "debug", message: "hello", offset: 7, text: "a\nb" });
    expect(Number.isNaN(Date.parse(time))).toBe(false);
  });

  test("every line of a burst of equal ones is written, at once", () => {
    const { written, logger } = lines("info", "text");
    for (let i = 0; i < 100; i++) logger.info("same");
    expect(written).toHaveLength(100);
  });

  test("the level can change", () => {
    const { written, logger } = lines("info", "text");
    logger.setLevel!("debug");
    logger.debug("seen");
    logger.setLevel!("error");
    logger.warn("not seen");
    expect(written.map((line) => line.trimEnd().split(" ").at(-1))).toEqual(["seen"]);
    expect(logger.level).toBe("error");
  });
});
