/** The oracle is Kafka's own hash: test/fixtures/consumer-group. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { groupHash, topicHash } from "./metadata-hash.ts";
import type { TopicsView } from "./topics-view.ts";

interface Line {
  readonly name: string;
  readonly id: string;
  readonly partitions: number;
  readonly racks: readonly string[];
  readonly hash: string;
  readonly group: string;
}

const fixture = join(import.meta.dir, "../../../test/fixtures/consumer-group/hashes.jsonl");
const lines: Line[] = readFileSync(fixture, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line));

/** In the fixture only the even partitions have racks. */
const viewOf = (racks: readonly string[]): TopicsView => ({
  version: 1,
  newTopicsVersion: 1,
  topicByName: () => undefined,
  topicById: () => undefined,
  names: () => [],
  racksOf: (_, partition) => (partition % 2 === 0 ? racks : []),
});

test("topics and groups have Kafka's hashes", () => {
  expect(lines.length).toBeGreaterThan(20);
  const hashes = new Map<string, bigint>();
  for (const { name, id, partitions, racks, hash, group } of lines) {
    const own = topicHash({ name, id, partitionCount: partitions }, viewOf(racks));
    expect(String(own)).toBe(hash);
    hashes.set(name, own);
    expect(String(groupHash([...hashes.keys(), "not there"], (each) => hashes.get(each)))).toBe(group);
  }
});

test("a group without topics has no hash", () => {
  expect(groupHash(["not there"], () => undefined)).toBe(0n);
});
