import { describe, expect, test } from "bun:test";
import { LONG_MAX, Reader } from "../bytes/reader.ts";
import { Writer } from "../bytes/writer.ts";
import { dataCodec, requestCodec, responseCodec } from "./compile.ts";
import { MalformedError } from "./errors.ts";
import { Fetch } from "./messages/01-fetch.ts";
import { Metadata } from "./messages/03-metadata.ts";
import { ConsumerGroupMemberMetadataValue } from "./records/consumer-groups.ts";
import {
  array,
  bool,
  bytes,
  type Data,
  type DataInput,
  data,
  type Erased,
  float64,
  int8,
  int16,
  int32,
  int64,
  records,
  string,
  struct,
  uint16,
  uint32,
} from "./schema.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const decode = <D extends Data<Erased>>(of: D, version: number, text: string) =>
  dataCodec(of, version).decode(new Reader(hex(text)));

function encode<D extends Data<Erased>>(of: D, version: number, value: DataInput<D>): string {
  const w = new Writer();
  dataCodec(of, version).encode(w, value);
  return Buffer.from(w.finishOne()).toString("hex");
}

const Tagged = data({
  name: "Tagged",
  declared: "0-2",
  flexible: "1+",
  fields: {
    id: int8(),
    note: string("1+").nullable().default(null).tagged(0),
    epoch: int32("1+").default(-1).tagged(1),
    leader: struct({ nodeId: int16().default(-1), host: string().default("") }, "1+").tagged(2),
    many: array(int8(), "2+").tagged(3),
    maybe: struct({ a: int8() }, "2+").nullable().default(null).tagged(4),
  },
});
const UNSET = { note: null, epoch: -1, leader: { nodeId: -1, host: "" }, many: [], maybe: null };

describe("tagged fields", () => {
  test("are absent in inflexible versions and when at their default", () => {
    expect(encode(Tagged, 0, { id: 1, epoch: 5 })).toBe("01");
    expect(encode(Tagged, 1, { id: 1 })).toBe("0100");
    expect(encode(Tagged, 2, { id: 1, ...UNSET })).toBe("0100");
    expect(encode(Tagged, 1, { id: 1, leader: {} })).toBe("0100");
    expect(decode(Tagged, 0, "01")).toEqual({ id: 1, ...UNSET });
    expect(decode(Tagged, 1, "0100")).toEqual({ id: 1, ...UNSET });
  });

  test("stand in the order of their tags, each behind its size", () => {
    const all = { id: 1, maybe: { a: 9 }, many: [7, 8], leader: { nodeId: 3, host: "h" }, epoch: 2, note: "n" };
    const expected = "01 05 00 02 026e 01 04 00000002 02 05 0003 0268 00 03 03 030708 04 03 01 09 00";
    expect(encode(Tagged, 2, all)).toBe(expected.replaceAll(" ", ""));
    expect(decode(Tagged, 2, expected)).toEqual(all);
  });

  test("in the wrong order, twice (the last wins), or at their default are read, as Kafka does", () => {
    expect(decode(Tagged, 1, "01 03 01 04 00000002 00 02 026e 01 04 00000003").epoch).toBe(3);
    expect(decode(Tagged, 1, "01 01 01 04 ffffffff")).toEqual({ id: 1, ...UNSET });
    expect(decode(Tagged, 1, "01 01 00 01 00")).toEqual({ id: 1, ...UNSET });
  });

  test("that this version does not know are skipped", () => {
    expect(decode(Tagged, 1, "01 02 03 03 030708 01 04 00000005").epoch).toBe(5);
  });

  test("whose size is not that of their value are refused", () => {
    expect(() => decode(Tagged, 1, "01 01 01 05 00000002 00")).toThrow("its size says");
    expect(() => decode(Tagged, 1, "01 01 01 03 00000002")).toThrow(MalformedError);
    expect(() => decode(Tagged, 1, "01 01 09 7f 00")).toThrow(MalformedError);
  });
});

const Plain = data({
  name: "Plain",
  declared: "0-2",
  flexible: "2+",
  fields: {
    text: string().nullable("1+"),
    list: array(struct({ a: int32(), b: int64("1+").default(7) })).nullable("1+"),
    raw: bytes().nullable("1+"),
    one: struct({ a: int8() }).nullable("1+"),
    old: string("0").default("gone"),
    plain: string("2+").nullable().inflexible(),
  },
});

test("a tagged struct has a varint before it: 0 is null (bytes of Kafka's ConsumerGroupMemberMetadataValue)", () => {
  const client = { instanceId: "", rackId: "", clientId: "c", clientHost: "h", serverAssignor: "" };
  const subscription = { subscribedTopicNames: ["t"], subscribedTopicRegex: "", rebalanceTimeoutMs: -1 };
  const untagged = "01010263026802027401ffffffff01";
  const cases = {
    "00": { sessionTimeoutMs: 0, supportedProtocols: [] },
    "01000100": null,
    "01000701000000070100": { sessionTimeoutMs: 7, supportedProtocols: [] },
  };
  for (const [tags, classicMemberMetadata] of Object.entries(cases)) {
    const value = { ...client, ...subscription, classicMemberMetadata };
    expect(encode(ConsumerGroupMemberMetadataValue, 0, value)).toBe(untagged + tags);
    expect(decode(ConsumerGroupMemberMetadataValue, 0, untagged + tags)).toEqual(value);
  }
});

describe("nulls", () => {
  const nothing = { text: null, list: null, raw: null, one: null, plain: null };

  test("are -1, or 0 in compact form", () => {
    expect(encode(Plain, 1, nothing)).toBe("ffff ffffffff ffffffff ff".replaceAll(" ", ""));
    expect(encode(Plain, 2, nothing)).toBe("00 00 00 ff ffff 00".replaceAll(" ", ""));
    expect(decode(Plain, 2, "00 00 00 ff ffff 00")).toEqual({ ...nothing, old: "gone" });
  });

  test("are refused where the version has none, in both directions", () => {
    const empty = { text: "", list: [], raw: Buffer.alloc(0), one: { a: 1 }, plain: null };
    expect(encode(Plain, 0, empty)).toBe("0000 00000000 00000000 01 0004676f6e65".replaceAll(" ", ""));
    for (const field of ["text", "list", "raw", "one"]) {
      expect(() => encode(Plain, 0, { ...empty, [field]: null })).toThrow(`null in ${field}`);
    }
    expect(() => decode(Plain, 0, "ffff 00000000 00000000 01 0000")).toThrow("null in a field that is not nullable");
    expect(() => decode(Plain, 0, "0000 ffffffff 00000000 01 0000")).toThrow("field list");
    expect(() => decode(Plain, 0, "0000 00000000 ffffffff 01 0000")).toThrow("field raw");
  });
});

test("every scalar type", () => {
  const Scalars = data({
    name: "Scalars",
    declared: "0",
    flexible: "none",
    fields: { a: bool(), b: int8(), c: int16(), d: uint16(), e: int32(), f: uint32(), g: int64(), h: float64() },
  });
  const value = { a: true, b: -1, c: -2, d: 65534, e: -3, f: 4294967294, g: LONG_MAX, h: 1.5 };
  const expected = "01 ff fffe fffe fffffffd fffffffe 7fffffffffffffff 3ff8000000000000";
  expect(encode(Scalars, 0, value)).toBe(expected.replaceAll(" ", ""));
  expect(decode(Scalars, 0, expected)).toEqual(value);
});

describe("malformed messages", () => {
  test("are named: message, version, byte, field", () => {
    const truncated = new Reader(hex("0000 00000001 00000001 00"));
    expect(() => dataCodec(Plain, 0).decode(truncated)).toThrow("Plain v0: 4 bytes wanted, 1 left at byte 10, field raw");
    const nested = new Reader(hex("0000 00000001 00000001 0020000000000001 ffffffff ff"));
    expect(() => dataCodec(Plain, 1).decode(nested)).toThrow(/^Plain v1: .* field list\[\]\.b$/);
  });

  test("an array's count is compared with what its items need at this version", () => {
    // Two items: 8 bytes in version 0, 24 in version 1.
    expect(() => decode(Plain, 0, "0000 00000003 0000000000000000 ffff")).toThrow("3 items of at least 4 bytes");
    expect(() => decode(Plain, 1, "0000 00000002 0000000000000000 000000000000000000000000")).toThrow(
      "2 items of at least 12 bytes",
    );
    expect(() => decode(Plain, 1, "0000 7fffffff 00")).toThrow(MalformedError);
  });

  test("one frame cannot become more objects than its reader allows", () => {
    const Lists = data({ name: "Lists", declared: "0", flexible: "none", fields: { a: array(array(int8())) } });
    const frame = hex(`00000002 00000003 010203 00000003 010203`);
    const r = new Reader(frame);
    r.itemsLeft = 7;
    expect(() => dataCodec(Lists, 0).decode(r)).toThrow("limit on items");
    const s = new Reader(frame);
    s.itemsLeft = 8;
    expect(dataCodec(Lists, 0).decode(s)).toEqual({
      a: [
        [1, 2, 3],
        [1, 2, 3],
      ],
    });
  });
});

test("bytes after the message are left alone, as Kafka does", () => {
  const r = new Reader(hex("01 00 ffff"));
  expect(dataCodec(Tagged, 1).decode(r).id).toBe(1);
  expect(r.remaining).toBe(2);
});

test("codecs are kept, and only declared versions have one", () => {
  expect(requestCodec(Fetch, 12)).toBe(requestCodec(Fetch, 12));
  expect(() => requestCodec(Fetch, 3)).toThrow("Fetch request has no version 3");
  expect(() => responseCodec(Metadata, 14)).toThrow(RangeError);
});

test("records are encoded from several chunks, each referenced", () => {
  const Batches = data({
    name: "Batches",
    declared: "0-1",
    flexible: "1+",
    fields: { records: records().nullable(), last: int8() },
  });
  const chunks = [new Uint8Array(2000).fill(1), new Uint8Array(3000).fill(2)];
  const w = new Writer();
  dataCodec(Batches, 0).encode(w, { records: chunks, last: 5 });
  const out = w.finish();
  expect(out.map((chunk) => chunk.byteLength)).toEqual([4, 2000, 3000, 1]);
  expect([out[1], out[2]]).toEqual(chunks);
  expect(out[1]).toBe(chunks[0]!);
  expect(encode(Batches, 1, { records: [], last: 5 })).toBe("010500");
  expect(encode(Batches, 0, { records: null, last: 5 })).toBe("ffffffff05");
});
