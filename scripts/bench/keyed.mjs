// Fills a topic with keyed records, of which compaction leaves a part: load.c writes records without keys. Plain Produce v3 requests.

import { connect } from "node:net";

/** Of each batch: some 16 KiB of small records. */
const BATCH_RECORDS = 200;
const KEY_BYTES = 12;
/** Sent and not yet answered. */
const IN_FLIGHT = 8;

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1;
  return c >>> 0;
});

function crc32c(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = (c >>> 8) ^ table[(c ^ bytes[i]) & 0xff];
  return (c ^ 0xffffffff) >>> 0;
}

/** Where the next byte goes, in a buffer that is large enough. */
class Pen {
  constructor(bytes) {
    this.bytes = Buffer.alloc(bytes);
    this.at = 0;
  }

  /** Zig-zag varint of a number that is not negative. */
  varint(n) {
    let rest = n * 2;
    for (; rest >= 128; rest = Math.floor(rest / 128)) this.bytes[this.at++] = (rest % 128) | 128;
    this.bytes[this.at++] = rest;
  }

  put(bytes) {
    this.at += bytes.copy(this.bytes, this.at);
  }
}

const HEADER_BYTES = 61;
/** What a record takes at most beside its key and value. */
const RECORD_BYTES = 24;
const varintBytes = (n) => (n < 64 ? 1 : n < 8192 ? 2 : 3);

/** A batch of records with these keys (numbers), uncompressed, all of now. */
function batch(keys, value) {
  const pen = new Pen(HEADER_BYTES + keys.length * (RECORD_BYTES + KEY_BYTES + value.length));
  pen.at = HEADER_BYTES;
  keys.forEach((number, i) => {
    const rest = 2 + varintBytes(i) + varintBytes(KEY_BYTES) + KEY_BYTES + varintBytes(value.length) + value.length + 1;
    pen.varint(rest);
    pen.bytes[pen.at++] = 0; // attributes
    pen.bytes[pen.at++] = 0; // timestamp delta
    pen.varint(i);
    pen.varint(KEY_BYTES);
    pen.at += pen.bytes.write(`key-${String(number).padStart(KEY_BYTES - 4, "0")}`, pen.at, "latin1");
    pen.varint(value.length);
    pen.put(value);
    pen.bytes[pen.at++] = 0; // headers
  });
  const bytes = pen.bytes.subarray(0, pen.at);
  bytes.writeInt32BE(bytes.length - 12, 8);
  bytes.writeInt32BE(-1, 12);
  bytes[16] = 2;
  bytes.writeInt32BE(keys.length - 1, 23);
  bytes.writeBigInt64BE(BigInt(Date.now()), 27);
  bytes.writeBigInt64BE(BigInt(Date.now()), 35);
  bytes.writeBigInt64BE(-1n, 43);
  bytes.writeInt16BE(-1, 51);
  bytes.writeInt32BE(-1, 53);
  bytes.writeInt32BE(keys.length, 57);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function request(topic, records) {
  const name = Buffer.from(topic);
  const head = Buffer.alloc(8 + 2 + 5 + 2 + 2 + 4 + 4 + 2 + name.length + 4 + 4 + 4);
  let at = head.writeInt16BE(0, 0); // Produce
  at = head.writeInt16BE(3, at);
  at = head.writeInt32BE(1, at);
  at = head.writeInt16BE(5, at);
  at += head.write("bench", at);
  at = head.writeInt16BE(-1, at); // no transactional id
  at = head.writeInt16BE(-1, at); // acks=all
  at = head.writeInt32BE(30_000, at);
  at = head.writeInt32BE(1, at);
  at = head.writeInt16BE(name.length, at);
  at += name.copy(head, at);
  at = head.writeInt32BE(1, at);
  at = head.writeInt32BE(0, at);
  at = head.writeInt32BE(records.length, at);
  const size = Buffer.alloc(4);
  size.writeInt32BE(at + records.length);
  return [size, head.subarray(0, at), records];
}

/** Writes `records` records of `valueBytes` over `keys` keys, by turns, into partition 0. */
export function fillKeyed(port, topic, { records, keys, valueBytes }) {
  return new Promise((done, fail) => {
    const socket = connect(port, "127.0.0.1");
    const value = Buffer.alloc(valueBytes, "v");
    let [sent, answered, held] = [0, 0, Buffer.alloc(0)];
    const sendSome = () => {
      for (; sent < records && sent - answered < IN_FLIGHT * BATCH_RECORDS; sent += BATCH_RECORDS) {
        const numbers = Array.from({ length: BATCH_RECORDS }, (_, i) => ((sent + i) * 7919) % keys);
        for (const part of request(topic, batch(numbers, value))) socket.write(part);
      }
    };
    socket.on("connect", sendSome);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("the broker closed the connection")));
    socket.on("data", (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
        const answer = held.subarray(4, 4 + held.readInt32BE(0));
        const error = answer.readInt16BE(4 + 4 + 2 + topic.length + 4 + 4);
        if (error !== 0) return fail(new Error(`a keyed batch was answered with error ${error}`));
        held = held.subarray(4 + answer.length);
        answered += BATCH_RECORDS;
      }
      if (answered < records) return sendSome();
      socket.removeAllListeners("close");
      socket.end();
      done();
    });
  });
}
