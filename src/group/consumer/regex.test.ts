/** The oracle is RE2/J itself: test/fixtures/consumer-group. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Regex } from "./regex.ts";
import { PatternError } from "./regex-syntax.ts";

const fixture = join(import.meta.dir, "../../../test/fixtures/consumer-group/regexes.jsonl");
const [first, ...verdicts] = readFileSync(fixture, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));
const { names } = first as { names: string[] };

/** What we make of a pattern, in the fixture's form. */
function verdict(pattern: string): object {
  try {
    const regex = new Regex(pattern);
    return { pattern, matches: names.flatMap((name, i) => (regex.matches(name) ? [i] : [])) };
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    return { pattern, error: error.message };
  }
}

describe("patterns", () => {
  test("match what RE2/J matches, and are refused in its words", () => {
    expect(verdicts.length).toBeGreaterThan(800);
    for (const wanted of verdicts) expect(verdict(wanted.pattern)).toEqual(wanted);
  });

  test("an answer does not depend on what was asked before", () => {
    for (const { pattern, matches } of verdicts.filter((each) => each.matches !== undefined)) {
      const regex = new Regex(pattern);
      const backwards = names.map((_, i) => names.length - 1 - i).filter((i) => regex.matches(names[i]!));
      expect(backwards.reverse()).toEqual(matches);
    }
  });
});

describe("no pattern is a catastrophe", () => {
  const longest = "a".repeat(249);

  for (const pattern of [
    "(a*)*b",
    "(a|a)*b",
    "(a?){249}a{249}b",
    "(.*)(.*)(.*)(.*)b",
    "((a+)+)+b",
    "(a|aa|aaa)*b",
    "[ab]*a[ab]{200}b",
  ]) {
    test(pattern, () => {
      const regex = new Regex(pattern);
      expect(regex.matches(longest)).toBe(false);
      expect(regex.work).toBeLessThan(500_000);
      regex.work = 0;
      regex.matches(longest);
      expect(regex.work).toBeLessThan(1000); // by then it is a walk from state to state
    });
  }

  test("more states than are kept", () => {
    const regex = new Regex("[ab]*a[ab]{12}");
    for (let i = 0; i < 3000; i++) {
      const name = i.toString(2).padStart(14, "0").replaceAll("0", "b").replaceAll("1", "a");
      expect(regex.matches(name)).toBe(name.at(-13) === "a");
    }
  });

  test("what would be too large is refused", () => {
    for (const pattern of [
      "(a{1000}){1000}",
      "((a{1000}){1000}){1000}",
      "(".repeat(5000) + ")".repeat(5000),
      "a|".repeat(16_000),
    ]) {
      expect(() => new Regex(pattern)).toThrow(PatternError);
    }
    expect(() => new Regex(`${"(?:".repeat(8)}${"){1000}".repeat(8)}`)).not.toThrow();
  });
});
