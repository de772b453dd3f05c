import { expect, test } from "bun:test";
import { apiTable } from "./api-table.ts";
import { Produce } from "./messages/00-produce.ts";
import { InitProducerId } from "./messages/22-init-producer-id.ts";
import { DescribeTopicPartitions } from "./messages/75-describe-topic-partitions.ts";

test("the table is sorted by key and tells what is advertised where that differs", () => {
  const table = apiTable([
    { api: DescribeTopicPartitions, served: "0" },
    { api: InitProducerId, served: "0-5" },
    { api: Produce, served: "3-13", advertised: "0-13" },
  ]);
  expect(table.split("\n")).toEqual([
    "| Key | API | Served | In Kafka 4.4 | Note |",
    "| ---: | --- | --- | --- | --- |",
    "| 0 | Produce | 3–13 | 3–13 | advertised as 0–13 |",
    "| 22 | InitProducerId | 0–5 | 0–6 | |",
    "| 75 | DescribeTopicPartitions | 0 | 0 | |",
  ]);
});
