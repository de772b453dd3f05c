/** ApiVersions as bytes, made and read by hand from Kafka's schema (ApiVersionsRequest.json, ApiVersionsResponse.json). */
import { describe, expect, test } from "bun:test";
import type { Broker } from "../broker/broker.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { FEATURES } from "../metadata/features.ts";
import { requestCodec, responseCodec } from "../protocol/compile.ts";
import type { ApiVersions } from "../protocol/messages/18-api-versions.ts";
import type { ResponseInput } from "../protocol/schema.ts";
import { apiVersions } from "./18-api-versions.ts";
import type { Call, ConnectionInfo, Handler } from "./handler.ts";

const others = [
  { api: { key: 12 }, served: "0-4" },
  { api: { key: 0 }, served: "3-13", advertised: "0-13" },
  { api: { key: 60 }, served: "none" },
] as unknown as Handler[];

const levels = new Map([
  ["metadata.version", 33],
  ["off.version", 0],
]);
const broker = { nodeId: 7, image: { clusterId: "cluster", rev: 300n, features: levels } } as unknown as Broker;

function ask(version: number, body: readonly number[]) {
  const subject = apiVersions(others);
  const connection = { clientSoftwareName: "", clientSoftwareVersion: "" } as ConnectionInfo;
  let answer: ResponseInput<typeof ApiVersions> | undefined;
  const request = requestCodec(subject.api, version).decode(new Reader(Buffer.from(body)));
  const call = { broker, connection, version, request, reply: (given: typeof answer) => (answer = given) };
  subject.handle(call as unknown as Call<typeof subject.api>);
  const writer = new Writer();
  responseCodec(subject.api, version).encode(writer, answer!);
  return { bytes: [...writer.finishOne()], connection };
}

const compact = (text: string): number[] => [text.length + 1, ...Buffer.from(text)];
const software = (name: string, version: string): number[] => [...compact(name), ...compact(version)];

/** Produce 0-13 (advertised), Heartbeat 0-4, ApiVersions 0-5; each as three int16. */
const LIST = [
  [0, 0, 0, 0, 0, 13],
  [0, 12, 0, 0, 0, 4],
  [0, 18, 0, 0, 0, 5],
];

describe("ApiVersions", () => {
  test("v0: error, then the list by key", () => {
    expect(ask(0, []).bytes).toEqual([0, 0, 0, 0, 0, 3, ...LIST.flat()]);
  });

  test("v2: and a throttle time", () => {
    expect(ask(2, []).bytes).toEqual([0, 0, 0, 0, 0, 3, ...LIST.flat(), 0, 0, 0, 0]);
  });

  test.each([3, 4])("v%d: compact, with features; below 4 those without a level 0 (KAFKA-17492)", (version) => {
    const { bytes, connection } = ask(version, [...software("apache-kafka-java", "4.3.1"), 0]);
    const told = FEATURES.filter(({ min }) => version >= 4 || min > 0);
    const supported = [told.length + 1, ...told.flatMap(({ name, min, max }) => [...compact(name), 0, min, 0, max, 0])];
    const finalized = [2, ...compact("metadata.version"), 0, 33, 0, 33, 0];
    const epoch = [0, 0, 0, 0, 0, 0, 1, 44];
    const tags = [3, 0, supported.length, ...supported, 1, 8, ...epoch, 2, finalized.length, ...finalized];
    expect(bytes).toEqual([0, 0, 4, ...LIST.flatMap((entry) => [...entry, 0]), 0, 0, 0, 0, ...tags]);
    expect([connection.clientSoftwareName, connection.clientSoftwareVersion]).toEqual(["apache-kafka-java", "4.3.1"]);
  });

  const expected = (clusterId: string | null, nodeId: number): number[] => {
    const id = Buffer.alloc(4);
    id.writeInt32BE(nodeId);
    return [...software("x", "1"), ...(clusterId === null ? [0] : compact(clusterId)), ...id, 0];
  };
  const errorOf = (version: number, body: readonly number[]): number => ask(version, body).bytes[1]!;

  test.each([
    ["nobody in particular", null, -1, 0],
    ["us", "cluster", 7, 0],
    ["another cluster", "other", 7, 129],
    ["another node", "cluster", 8, 129],
    ["a node without a cluster", null, 7, 42],
    ["a cluster without a node", "cluster", -1, 42],
  ])("v5 meant for %s (KIP-1242)", (_, clusterId, nodeId, error) => {
    expect(errorOf(5, expected(clusterId, nodeId))).toBe(error);
  });

  test.each([
    ["a", "1", 0],
    ["librdkafka", "v2.3.0-1-gabc", 0],
    ["", "1", 42],
    ["a", "", 42],
    ["-a", "1", 42],
    ["a.", "1", 42],
    ["a b", "1", 42],
    ["a", "1\n", 42],
    ["a", "1_2", 42],
    ["ä", "1", 42],
  ])("v3 from %j %j", (name, version, error) => {
    const encoded = [Buffer.from(name), Buffer.from(version)].flatMap((text) => [text.length + 1, ...text]);
    const { bytes, connection } = ask(3, [...encoded, 0]);
    expect(bytes[1]).toBe(error);
    if (error !== 0) expect([bytes[2], connection.clientSoftwareName]).toEqual([1, ""]); // no list
  });
});
