/** Records of __transaction_state against bytes that Kafka 4.3.1's TransactionLog wrote. */
import { expect, test } from "bun:test";
import { MalformedError } from "../protocol/errors.ts";
import type { TransactionValue } from "./durable.ts";
import { decodeTransactionRecord, encodeTransactionRecord } from "./records.ts";

const KEY = "000000027478";
const START_MS = 1_700_000_000_000;

const base: TransactionValue = {
  producerId: 7,
  previousProducerId: 7,
  nextProducerId: -1,
  producerEpoch: 0,
  lastProducerEpoch: -1,
  timeoutMs: 60_000,
  state: "Empty",
  partitions: new Map(),
  startMs: START_MS,
  updatedMs: START_MS + 1,
  clientVersion: 0,
};

/** The value as version 1 has it, and as version 0 if that can hold it. */
const cases: [value: TransactionValue, bytes: string, older: string | null][] = [
  [
    { ...base, previousProducerId: -1, startMs: -1 },
    "0001000000000000000700000000ea6000000000018bcfe56801ffffffffffffffff00",
    "0000000000000000000700000000ea6000ffffffff0000018bcfe56801ffffffffffffffff",
  ],
  [
    { ...base, state: "Ongoing", partitions: new Map([["t", new Set([0])]]), clientVersion: 2 },
    "0001000000000000000700000000ea60010202740200000000000000018bcfe568010000018bcfe56800020008000000000000000702020002",
    null,
  ],
  [
    {
      ...base,
      state: "PrepareCommit",
      producerEpoch: 32_767,
      nextProducerId: 9,
      partitions: new Map([["t", new Set([1])]]),
      clientVersion: 2,
    },
    "000100000000000000077fff0000ea60020202740200000001000000018bcfe568010000018bcfe5680003000800000000000000070108000000000000000902020002",
    null,
  ],
  [
    { ...base, state: "CompleteAbort", producerEpoch: 1 },
    "0001000000000000000700010000ea6005010000018bcfe568010000018bcfe568000100080000000000000007",
    "0000000000000000000700010000ea6005000000000000018bcfe568010000018bcfe56800",
  ],
];

test.each(cases)("%p", (value, bytes, older) => {
  const key = Buffer.from(KEY, "hex");
  const record = { transactionalId: "tx", value };
  const written = encodeTransactionRecord(record);
  expect([Buffer.from(written.key).toString("hex"), Buffer.from(written.value!).toString("hex")]).toEqual([KEY, bytes]);
  expect(decodeTransactionRecord(key, Buffer.from(bytes, "hex"))).toEqual(record);
  if (older === null) return;
  const read = decodeTransactionRecord(key, Buffer.from(older, "hex"));
  expect(read).toEqual({ transactionalId: "tx", value: { ...value, previousProducerId: -1 } });
});

test("a tombstone, another type, a version that is not known", () => {
  expect(encodeTransactionRecord({ transactionalId: "tx", value: null }).value).toBeNull();
  expect(decodeTransactionRecord(Buffer.from(KEY, "hex"), null)).toEqual({ transactionalId: "tx", value: null });
  expect(decodeTransactionRecord(Buffer.from("000100027478", "hex"), null)).toBeNull();
  expect(() => decodeTransactionRecord(Buffer.from(KEY, "hex"), Buffer.from("0002", "hex"))).toThrow(MalformedError);
});
