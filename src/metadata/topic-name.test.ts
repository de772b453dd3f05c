import { expect, test } from "bun:test";
import { isInternalTopic, topicNameFault, unifiedTopicName } from "./topic-name.ts";

/** The cases of Kafka's TopicTest, and its messages. */
test("names that a topic may have", () => {
  for (const name of ["valid", "TOPIC", "nAmEs", "ar6", "VaL1d", "_0-9_.", "...", "a".repeat(249)])
    expect(topicNameFault(name)).toBeNull();
});

test("names that it may not have", () => {
  expect(topicNameFault("")).toBe("Topic name is invalid: the empty string is not allowed");
  expect(topicNameFault(".")).toBe("Topic name is invalid: '.' is not allowed");
  expect(topicNameFault("..")).toBe("Topic name is invalid: '..' is not allowed");
  const long = "A".repeat(250);
  expect(topicNameFault(long)).toBe(`Topic name is invalid: the length of '${long}' is longer than the max allowed length 249`);
  for (const name of ["foo bar", "..foo/bar", "a\n", "ä", "a:b", "x*", "'", "a,b"]) {
    expect(topicNameFault(name)).toBe(
      `Topic name is invalid: '${name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'`,
    );
  }
});

test("what collides, what is internal", () => {
  expect(unifiedTopicName("topic.has.dots")).toBe(unifiedTopicName("topic_has.dots"));
  expect(unifiedTopicName("topic-dash")).not.toBe(unifiedTopicName("topic_dash"));
  expect(["__consumer_offsets", "__transaction_state", "__share_group_state"].map(isInternalTopic)).toEqual([true, true, true]);
  expect(["__cluster_metadata", "consumer_offsets", ""].map(isInternalTopic)).toEqual([false, false, false]);
});
