/** Kafka's own bytes (Golden.java) against our codecs: decoded to the same values, encoded to the same bytes, refused when cut short. */
import { describe, expect, test } from "bun:test";
import { Reader } from "../../src/bytes/reader.ts";
import { Writer } from "../../src/bytes/writer.ts";
import { type Codec, dataCodec, requestCodec, responseCodec } from "../../src/protocol/compile.ts";
import { MalformedError } from "../../src/protocol/errors.ts";
import { APIS } from "../../src/protocol/messages/index.ts";
import {
  ConsumerGroupCurrentMemberAssignmentKey,
  ConsumerGroupCurrentMemberAssignmentValue,
  ConsumerGroupMemberMetadataKey,
  ConsumerGroupMemberMetadataValue,
  ConsumerGroupMetadataKey,
  ConsumerGroupMetadataValue,
  ConsumerGroupPartitionMetadataKey,
  ConsumerGroupPartitionMetadataValue,
  ConsumerGroupRegularExpressionKey,
  ConsumerGroupRegularExpressionValue,
  ConsumerGroupTargetAssignmentMemberKey,
  ConsumerGroupTargetAssignmentMemberValue,
  ConsumerGroupTargetAssignmentMetadataKey,
  ConsumerGroupTargetAssignmentMetadataValue,
} from "../../src/protocol/records/consumer-groups.ts";
import { ConsumerProtocolAssignment, ConsumerProtocolSubscription } from "../../src/protocol/records/consumer-protocol.ts";
import { RequestHeader, ResponseHeader } from "../../src/protocol/records/headers.ts";
import { AbortedTxn, ControlRecordTypeSchema, EndTxnMarker, ProducerSnapshot } from "../../src/protocol/records/log.ts";
import { GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue } from "../../src/protocol/records/offsets.ts";
import { TransactionLogKey, TransactionLogValue } from "../../src/protocol/records/transactions.ts";
import { type Data, type Erased, parseVersions, type Versions } from "../../src/protocol/schema.ts";

const DATA: readonly Data<Erased>[] = [
  RequestHeader,
  ResponseHeader,
  ConsumerProtocolSubscription,
  ConsumerProtocolAssignment,
  AbortedTxn,
  EndTxnMarker,
  ControlRecordTypeSchema,
  OffsetCommitKey,
  OffsetCommitValue,
  GroupMetadataKey,
  GroupMetadataValue,
  ProducerSnapshot,
  ConsumerGroupMetadataKey,
  ConsumerGroupMetadataValue,
  ConsumerGroupPartitionMetadataKey,
  ConsumerGroupPartitionMetadataValue,
  ConsumerGroupMemberMetadataKey,
  ConsumerGroupMemberMetadataValue,
  ConsumerGroupTargetAssignmentMetadataKey,
  ConsumerGroupTargetAssignmentMetadataValue,
  ConsumerGroupTargetAssignmentMemberKey,
  ConsumerGroupTargetAssignmentMemberValue,
  ConsumerGroupCurrentMemberAssignmentKey,
  ConsumerGroupCurrentMemberAssignmentValue,
  ConsumerGroupRegularExpressionKey,
  ConsumerGroupRegularExpressionValue,
  TransactionLogKey,
  TransactionLogValue,
];

type Case = [fill: string, base64: string, values: unknown];

interface Line {
  readonly message: string;
  readonly version: number;
  readonly cases: readonly Case[];
}

interface Declared {
  readonly versions: Versions;
  codec(version: number): Codec<Erased>;
}

/** Cuts tried in one case: every length of a short message, a spread over a long one. */
const CUTS_MAX = 100;

const declared = new Map<string, Declared>();
for (const api of APIS) {
  declared.set(`${api.name}Request`, { versions: api.declared, codec: (version) => requestCodec(api, version) });
  declared.set(`${api.name}Response`, { versions: api.declared, codec: (version) => responseCodec(api, version) });
}
for (const data of DATA) declared.set(data.name, { versions: data.declared, codec: (version) => dataCodec(data, version) });

const packed = await Bun.file(new URL("golden.jsonl.gz", import.meta.url)).bytes();
const lines: Line[] = new TextDecoder()
  .decode(Bun.gunzipSync(packed))
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line));

/** Bytes as Golden.java writes them. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return `hex:${value.toHex()}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

test("every version of every declared message has golden bytes, and nothing else has", () => {
  const expected = [...declared].flatMap(([message, { versions }]) => {
    const { min, max } = parseVersions(versions)!;
    return Array.from({ length: max - min + 1 }, (_, i) => `${message} v${min + i}`);
  });
  expect(lines.map(({ message, version }) => `${message} v${version}`).sort()).toEqual(expected.sort());
});

describe.each(lines.map((line): [string, number, Line] => [line.message, line.version, line]))(
  "%s v%d",
  (message, version, { cases }) => {
    const codec = declared.get(message)!.codec(version);

    test("decodes to Kafka's values", () => {
      for (const [fill, base64, values] of cases) {
        const bytes = Buffer.from(base64, "base64");
        const r = new Reader(bytes);
        expect({ fill, values: plain(codec.decode(r)) }).toEqual({ fill, values });
        expect(r.at).toBe(bytes.length);
      }
    });

    test("encodes to Kafka's bytes", () => {
      const w = new Writer(64);
      for (const [fill, base64] of cases) {
        if (fill === "unknown") continue; // holds tagged fields that we skip
        codec.encode(w, codec.decode(new Reader(Buffer.from(base64, "base64"))));
        expect({ fill, base64: Buffer.from(w.finishOne()).toString("base64") }).toEqual({ fill, base64 });
      }
    });

    test("is refused when it is cut short anywhere", () => {
      for (const [, base64] of cases) {
        const bytes = Buffer.from(base64, "base64");
        const step = Math.max(1, Math.floor(bytes.length / CUTS_MAX));
        for (let length = 0; length < bytes.length; length += step) {
          expect(() => codec.decode(new Reader(bytes, 0, length))).toThrow(MalformedError);
        }
      }
    });

    test("with a damaged byte it is refused or read as something else, and nothing worse", () => {
      for (const [, base64] of cases) {
        const bytes = Buffer.from(base64, "base64");
        const step = Math.max(1, Math.floor(bytes.length / CUTS_MAX));
        for (let at = 0; at < bytes.length; at += step) {
          const damaged = Buffer.from(bytes);
          damaged[at]! ^= at % 2 === 0 ? 0xff : 0x81;
          try {
            codec.decode(new Reader(damaged));
          } catch (error) {
            expect(error).toBeInstanceOf(MalformedError);
          }
        }
      }
    });
  },
);
