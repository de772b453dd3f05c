import { describe, expect, test } from "bun:test";
import {
  boolean,
  bytes,
  integer,
  integerText,
  LONG_MAX,
  listenAddress,
  listener,
  milliseconds,
  oneOf,
  orUnlimited,
  parseInteger,
  path,
  reachableAddress,
  scaled,
} from "./option.ts";

describe("whole numbers", () => {
  test("are read exactly or not at all", () => {
    expect(parseInteger("0")).toBe(0);
    expect(parseInteger("-1")).toBe(-1);
    expect(parseInteger("9007199254740991")).toBe(9_007_199_254_740_991);
    expect(parseInteger("9007199254740993")).toBeUndefined(); // a double would round it
    expect(parseInteger("9223372036854775807")).toBe(LONG_MAX);
    expect(parseInteger("9223372036854775808")).toBeUndefined();
    for (const text of ["", " 1", "1.0", "1e3", "0x10", "1_000", "one"]) expect(parseInteger(text)).toBeUndefined();
  });

  test("Long.MAX_VALUE is written as Java writes it", () => {
    expect(integerText(LONG_MAX)).toBe("9223372036854775807");
    expect(integerText(1048588)).toBe("1048588");
  });

  test("have a lowest and a highest value", () => {
    const port = integer(1, 65_535);
    expect([port.parse("0"), port.parse("1"), port.parse("65535"), port.parse("65536")]).toEqual([
      undefined,
      1,
      65_535,
      undefined,
    ]);
    expect(port.allowed).toBe("a whole number from 1 to 65535");
    expect(bytes(1, 2).allowed).toBe("a whole number of bytes from 1 to 2");
    expect(milliseconds(0).allowed).toBe("a whole number of milliseconds from 0 to 9223372036854775807");
  });

  test("in TOML are integers: neither text nor a float", () => {
    expect(integer(0, 10).fromToml(5n)).toBe(5);
    for (const value of [5, 5.5, "5", true, null, [5n]]) expect(integer(0, 10).fromToml(value)).toBeUndefined();
  });
});

test("true and false are nothing else", () => {
  expect([boolean.parse("true"), boolean.parse("false")]).toEqual([true, false]);
  for (const text of ["TRUE", "yes", "1", ""]) expect(boolean.parse(text)).toBeUndefined();
  expect(boolean.fromToml("true")).toBeUndefined();
});

test("words are spelled as they are listed", () => {
  const kind = oneOf("sync", "page-cache");
  expect([kind.parse("sync"), kind.parse("Sync"), kind.parse("")]).toEqual(["sync", undefined, undefined]);
  expect(kind.allowed).toBe('one of "sync", "page-cache"');
});

test("a path is not empty and has no zero byte", () => {
  expect([path.parse("./data"), path.parse(""), path.parse("a\0b")]).toEqual(["./data", undefined, undefined]);
});

describe("addresses", () => {
  test("to listen on", () => {
    expect(listenAddress.parse("127.0.0.1:9092")).toEqual({ host: "127.0.0.1", port: 9092 });
    expect(listenAddress.parse(":9092")).toEqual({ host: "0.0.0.0", port: 9092 });
    expect(listenAddress.parse("localhost:0")).toEqual({ host: "localhost", port: 0 });
    expect(listenAddress.parse("[::1]:9092")).toEqual({ host: "::1", port: 9092 });
    for (const text of ["", "9092", "localhost", "localhost:", "localhost:65536", "::1:9092", "a b:1", "http://x:1", "[x]:1"])
      expect(listenAddress.parse(text)).toBeUndefined();
  });

  test("that clients are told: no wildcard, no port 0", () => {
    expect(reachableAddress.parse("kafka.example.org:9092")).toEqual({ host: "kafka.example.org", port: 9092 });
    expect(reachableAddress.parse("")).toBeNull();
    for (const text of [":9092", "0.0.0.0:9092", "[::]:9092", "host:0", "host"])
      expect(reachableAddress.parse(text)).toBeUndefined();
  });

  test("are written with brackets where they need them", () => {
    expect(listenAddress.text({ host: "::1", port: 1 })).toBe("[::1]:1");
    expect(listenAddress.toml({ host: "0.0.0.0", port: 9092 })).toBe('"0.0.0.0:9092"');
  });
});

test("Kafka's units and notations become ours", () => {
  expect(scaled("log.roll.hours", 3_600_000, "hours").read("168")).toBe("604800000");
  expect(scaled("log.roll.hours", 3_600_000, "hours").read("soon")).toBeUndefined();
  const retention = orUnlimited(scaled("log.retention.hours", 3_600_000, "hours"));
  expect(["-1", "2", "soon"].map((text) => retention.read(text))).toEqual(["-1", "7200000", undefined]);
  expect(listener("listeners").read("PLAINTEXT://:9092")).toBe(":9092");
  expect(listener("listeners").read("SSL://:9093")).toBeUndefined();
});
