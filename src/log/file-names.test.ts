import { expect, test } from "bun:test";
import {
  deletedDirectoryName,
  isDeletedDirectory,
  offsetFileName,
  offsetOfFileName,
  parsePartitionDirectory,
  partitionDirectoryName,
} from "./file-names.ts";

test("Kafka's twenty digits", () => {
  expect(offsetFileName(1234, ".log")).toBe("00000000000000001234.log");
  expect(offsetOfFileName("00000000000000001234.log", ".log")).toBe(1234);
  for (const name of [
    "1234.log",
    "00000000000000001234.log.deleted",
    "00000000000000001234.log.9.cut-1",
    "0000000000000000123x.log",
  ])
    expect(offsetOfFileName(name, ".log")).toBeNull();
  expect(offsetOfFileName("99999999999999999999.log", ".log")).toBeNull();
});

test("partition directories: the last hyphen parts topic and partition", () => {
  expect(partitionDirectoryName("my-topic", 12)).toBe("my-topic-12");
  expect(parsePartitionDirectory("my-topic-12")).toEqual({ topic: "my-topic", partition: 12 });
  expect(parsePartitionDirectory("__cluster_metadata-0")).toEqual({ topic: "__cluster_metadata", partition: 0 });
  for (const name of ["topic", "topic-", "-1", "topic-01", "topic-x", "to pic-1", "topic-1.0123-delete"])
    expect(parsePartitionDirectory(name)).toBeNull();
});

test("deleted directories", () => {
  const unique = "0123456789abcdef0123456789abcdef";
  expect(deletedDirectoryName("topic-1", unique)).toBe(`topic-1.${unique}-delete`);
  expect(isDeletedDirectory(`topic-1.${unique}-delete`)).toBeTrue();
  expect(isDeletedDirectory("topic-delete")).toBeFalse();
  const long = deletedDirectoryName(`${"t".repeat(249)}-12345`, unique);
  expect(long.length).toBe(255);
  expect(isDeletedDirectory(long)).toBeTrue();
});
