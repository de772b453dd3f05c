import { describe, expect, test } from "bun:test";
import type { Chunk } from "../bytes/chunks.ts";
import { Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { MalformedError } from "./errors.ts";
import {
  bareErrorResponse,
  peekRequestStart,
  readRequestHeader,
  readResponseHeader,
  requestHeaderVersion,
  responseHeaderVersion,
  writeRequest,
  writeResponse,
} from "./frames.ts";
import { Heartbeat } from "./messages/12-heartbeat.ts";
import { ApiVersions } from "./messages/18-api-versions.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const joined = (chunks: Chunk[]): string => Buffer.concat(chunks as Uint8Array[]).toString("hex");

describe("request headers", () => {
  const start = { apiKey: 12, apiVersion: 4, correlationId: 7 };

  test("version 1 has a nullable client id, version 2 tagged fields after it", () => {
    const v1 = new Reader(hex("000c 0003 00000007 0002 6162 ff"));
    expect(readRequestHeader(v1, 1)).toEqual({ ...start, apiVersion: 3, clientId: "ab" });
    expect(v1.at).toBe(12);
    const v2 = new Reader(hex("000c 0004 00000007 0002 6162 01 00 01 ff 05"));
    expect(readRequestHeader(v2, 2)).toEqual({ ...start, clientId: "ab" });
    expect(v2.remaining).toBe(1);
    expect(readRequestHeader(new Reader(hex("000c 0004 00000007 ffff 00")), 2).clientId).toBe("");
  });

  test("the start can be read of any request, and is refused below eight bytes", () => {
    const r = new Reader(hex("000c 0004 00000007"));
    expect(peekRequestStart(r)).toEqual(start);
    expect(r.at).toBe(0);
    expect(() => peekRequestStart(new Reader(hex("000c 0004 000000")))).toThrow(MalformedError);
    expect(() => readRequestHeader(r, 1)).toThrow(MalformedError);
  });
});

test("headers are flexible where messages are, except the response of ApiVersions", () => {
  expect([3, 4].map((version) => requestHeaderVersion(Heartbeat, version))).toEqual([1, 2]);
  expect([3, 4].map((version) => responseHeaderVersion(Heartbeat, version))).toEqual([0, 1]);
  expect([2, 3].map((version) => requestHeaderVersion(ApiVersions, version))).toEqual([1, 2]);
  expect([2, 3].map((version) => responseHeaderVersion(ApiVersions, version))).toEqual([0, 0]);
});

describe("frames", () => {
  test("a response: size, correlation id, tags where flexible, body", () => {
    const w = new Writer();
    expect(joined(writeResponse(w, Heartbeat, 0, 7, { errorCode: 27 }))).toBe("0000000600000007001b");
    expect(joined(writeResponse(w, Heartbeat, 4, 7, { errorCode: 27 }))).toBe("0000000c000000070000000000001b00");
  });

  test("a request", () => {
    const frame = writeRequest(
      new Writer(),
      Heartbeat,
      4,
      { correlationId: 7, clientId: "ab" },
      { groupId: "g", generationId: 1, memberId: "" },
    );
    expect(joined(frame)).toBe("00000016 000c 0004 00000007 0002 6162 00 0267 00000001 01 00 00".replaceAll(" ", ""));
  });

  test("a body that cannot be encoded leaves the writer empty", () => {
    const w = new Writer();
    expect(() => writeResponse(w, Heartbeat, 0, 7, { errorCode: 70_000 })).toThrow(RangeError);
    expect(joined(writeResponse(w, Heartbeat, 0, 8, { errorCode: 0 }))).toBe("00000006000000080000");
  });

  test("a response header", () => {
    const r = new Reader(hex("00000007 00 ff"));
    expect(readResponseHeader(r, 1)).toBe(7);
    expect(r.at).toBe(5);
  });

  test("the bare error response", () => {
    expect(Buffer.from(bareErrorResponse(-2)).toString("hex")).toBe("00000006fffffffe0023");
  });
});
