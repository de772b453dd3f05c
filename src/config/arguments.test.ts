import { describe, expect, test } from "bun:test";
import { parseArguments } from "./arguments.ts";

const given = (...args: string[]) => parseArguments(args).given.map(({ written, text }) => [written, text]);
const faults = (...args: string[]) => parseArguments(args).faults.map(({ written, value, allowed }) => [written, value, allowed]);

describe("flags", () => {
  test("take the next argument or what stands behind =", () => {
    expect(given("--bind", "127.0.0.1:9092", "--data-dir=./data")).toEqual([
      ["--bind", "127.0.0.1:9092"],
      ["--data-dir", "./data"],
    ]);
    expect(given("--data-dir=a=b")).toEqual([["--data-dir", "a=b"]]);
  });

  test("never take another flag for their value", () => {
    expect(faults("--bind", "--data-dir", "x")).toEqual([["--bind", null, expect.stringContaining("needs a value")]]);
    expect(faults("--bind")).toHaveLength(1);
  });

  test("take a negative number, so that its range is what is wrong", () => {
    expect(given("--node-id", "-1")).toEqual([["--node-id", "-1"]]);
  });

  test("of true/false options may stand alone", () => {
    expect(given("--auto-create-topics-enable", "--node-id", "1")[0]).toEqual(["--auto-create-topics-enable", "true"]);
    expect(given("--auto-create-topics-enable", "false")).toEqual([["--auto-create-topics-enable", "false"]]);
    expect(given("--auto-create-topics-enable=no")).toEqual([["--auto-create-topics-enable", "no"]]);
  });

  test("that are unknown are faults, with the nearest known one", () => {
    expect(faults("--bnd", "--datadir=x")).toEqual([
      ["--bnd", null, "unknown flag; did you mean --bind?"],
      ["--datadir", "x", "unknown flag; did you mean --data-dir?"],
    ]);
    expect(faults("-x")).toEqual([["-x", null, "unknown flag"]]);
  });
});

test("-c and --config name the file", () => {
  expect(parseArguments(["-c", "a.toml"]).configPath).toBe("a.toml");
  expect(parseArguments(["--config=b.toml"]).configPath).toBe("b.toml");
  expect(parseArguments([]).configPath).toBeNull();
});

test("--set takes NAME=VALUE", () => {
  const [first] = parseArguments(["--set", "log.roll.hours = 1"]).given;
  expect(first).toEqual({ written: "--set log.roll.hours", option: null, name: "log.roll.hours", text: "1" });
  expect(faults("--set", "x", "--set", "=1")).toHaveLength(2);
});

test("switches of a command stand without a value; those of others are unknown", () => {
  expect(parseArguments(["--json"], ["--json"]).switches.has("--json")).toBe(true);
  expect(parseArguments(["--json=1"], ["--json"]).faults).toHaveLength(1);
  expect(faults("--json")).toHaveLength(1);
});

test("the rest are positionals, and all is one behind --", () => {
  expect(parseArguments(["a", "--bind", "b:1", "c", "--", "--bind"]).positionals).toEqual(["a", "c", "--bind"]);
});
