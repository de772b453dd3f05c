/** For tests: values of records as Kafka 4.3.1 wrote them into its metadata log. What they mean is what kafka-dump-log --cluster-metadata-decoder says. */
import { buildBatch } from "../record/build.ts";

/** BEGIN_TRANSACTION_RECORD "Bootstrap records" and END_TRANSACTION_RECORD. */
export const BEGIN = "01170001001212426f6f747374726170207265636f726473";
export const END = "01180000";
/** ABORT_TRANSACTION_RECORD has the form of the end, with a nullable reason. */
export const ABORT = "0119000000";
/** compacted, id wTJAjrv9QmGVr8rV4J-NHA */
export const TOPIC_COMPACTED = "0102000a636f6d706163746564c132408ebbfd426195afcad5e09f8d1c00";
export const COMPACTED_0 =
  "01030200000000c132408ebbfd426195afcad5e09f8d1c0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
/** Its leader goes (isr [], leader -1), and comes back (isr [1], leader 1). */
export const COMPACTED_NO_LEADER =
  "01050200000000c132408ebbfd426195afcad5e09f8d1c040001010104ffffffff0605020000000107050200000001";
export const COMPACTED_LEADER_1 = "01050200000000c132408ebbfd426195afcad5e09f8d1c0400050200000001010400000001060101070101";
/** cleanup.policy=compact, segment.ms=2000, segment.ms removed */
export const CLEANUP_POLICY = "010400020a636f6d7061637465640f636c65616e75702e706f6c69637908636f6d7061637400";
export const SEGMENT_MS = "010400020a636f6d7061637465640b7365676d656e742e6d73053230303000";
export const NO_SEGMENT_MS = "010400020a636f6d7061637465640b7365676d656e742e6d730000";
/** empty, id GAxHh7I_SkaoM_Wo4-A3jg, two partitions */
export const TOPIC_EMPTY = "01020006656d707479180c4787b23f4a46a833f5a8e3e0378e00";
export const EMPTY_0 =
  "01030200000000180c4787b23f4a46a833f5a8e3e0378e0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
export const EMPTY_1 =
  "01030200000001180c4787b23f4a46a833f5a8e3e0378e0200000001020000000101010000000100000000000000000228dae6fc9dca4add8843cbfbe41d595400";
/** gone, id 8wYQguARQjGm30k2RJApOQ, and its removal */
export const TOPIC_GONE = "01020005676f6e65f3061082e0114231a6df49364490293900";
export const REMOVE_GONE = "010900f3061082e0114231a6df49364490293900";
/** nextProducerId 1000, 2000 */
export const PRODUCER_IDS_1000 = "010f0000000001000000000000000d00000000000003e800";
export const PRODUCER_IDS_2000 = "010f000000000100000000000000f100000000000007d000";

/** A file's bytes: one batch for every list of values. */
export function metadataLog(from: number, ...batches: string[][]): Buffer {
  const out: Buffer[] = [];
  let baseOffset = from;
  for (const values of batches) {
    const records = values.map((hex) => ({ key: null, value: Buffer.from(hex, "hex"), timestampMs: 1 }));
    out.push(buildBatch({ records, baseOffset, leaderEpoch: 1 }));
    baseOffset += values.length;
  }
  return Buffer.concat(out);
}
