/** Expectations from Kafka's ProducerStateManagerTest and ProducerAppendInfo. */
import { describe, expect, test } from "bun:test";
import { KafkaError } from "../protocol/errors.ts";
import { ProducerState } from "./producer-state.ts";

const MAX_SEQUENCE = 2_147_483_647;
const newState = (limits: { producerIdExpirationMs?: number; maxProducers?: number } = {}) =>
  new ProducerState({ producerIdExpirationMs: 86_400_000, maxProducers: 1000, ...limits });

interface Sent {
  id?: number;
  epoch?: number;
  first: number;
  count?: number;
  transactional?: boolean;
}

const batchOf = ({ id = 1, epoch = 0, first, count = 1, transactional = false }: Sent) => ({
  producerId: id,
  producerEpoch: epoch,
  baseSequence: first,
  lastSequence: first < 0 ? -1 : first + count - 1 > MAX_SEQUENCE ? first + count - 2 - MAX_SEQUENCE : first + count - 1,
  isTransactional: transactional,
});

/** Checks and, if it is new, applies at `offset`; the error's name, the first offset of the batch that it repeats, or "ok". */
function send(state: ProducerState, offset: number, sent: Sent, timestampMs = 1000): string | number {
  const batch = batchOf(sent);
  try {
    const repeated = state.check(batch);
    if (repeated !== null) return repeated.lastOffset - repeated.offsetDelta;
  } catch (error) {
    if (error instanceof KafkaError) return error.error;
    throw error;
  }
  state.apply(batch, offset, offset + (sent.count ?? 1) - 1, timestampMs);
  return "ok";
}

describe("sequences", () => {
  test("go on without a gap", () => {
    const state = newState();
    expect(send(state, 0, { first: 0, count: 5 })).toBe("ok");
    expect(send(state, 5, { first: 5 })).toBe("ok");
    expect(send(state, 6, { first: 7 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 6, { first: 6 })).toBe("ok");
  });

  test("of an unknown producer may begin anywhere", () => {
    expect(send(newState(), 0, { first: 1234 })).toBe("ok");
  });

  test("wrap from 2^31 - 1 to 0, also within a batch", () => {
    const state = newState();
    expect(send(state, 0, { first: MAX_SEQUENCE - 1, count: 2 })).toBe("ok");
    expect(send(state, 2, { first: 1 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 2, { first: 0, count: 3 })).toBe("ok");
    const other = newState();
    expect(send(other, 0, { first: MAX_SEQUENCE - 9, count: 20 })).toBe("ok"); // ends at 9
    expect(send(other, 20, { first: MAX_SEQUENCE - 9, count: 20 })).toBe(0);
    expect(send(other, 20, { first: 10 })).toBe("ok");
  });

  test("of a coordinator's batches (-1) are not checked, its epoch is", () => {
    const state = newState();
    expect(send(state, 0, { first: -1, epoch: 3 })).toBe("ok");
    expect(send(state, 1, { first: -1, epoch: 3 })).toBe("ok");
    expect(send(state, 2, { first: -1, epoch: 2 })).toBe("INVALID_PRODUCER_EPOCH");
  });
});

describe("repeated batches", () => {
  test("among the last five are answered with their offsets", () => {
    const state = newState();
    for (let i = 0; i < 7; i++) expect(send(state, i * 10, { first: i * 10, count: 10 })).toBe("ok");
    for (let i = 2; i < 7; i++) expect(send(state, 99, { first: i * 10, count: 10 })).toBe(i * 10);
    expect(send(state, 99, { first: 10, count: 10 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
  });

  test("must be the same: first and last sequence, and epoch", () => {
    const state = newState();
    send(state, 0, { first: 0, count: 10 });
    expect(send(state, 10, { first: 0, count: 9 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 10, { first: 1, count: 9 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 10, { first: 0, count: 10, epoch: 1 })).toBe("ok");
    expect(send(state, 20, { first: 0, count: 10 })).toBe("INVALID_PRODUCER_EPOCH");
  });

  test("are looked for before the epoch is", () => {
    const state = newState();
    send(state, 0, { first: 0, epoch: 5 });
    expect(send(state, 1, { first: 0, epoch: 5 })).toBe(0);
  });
});

describe("epochs", () => {
  test("older ones are fenced; a new one begins at 0 and forgets the old batches", () => {
    const state = newState();
    send(state, 0, { first: 0, epoch: 2 });
    expect(send(state, 1, { first: 1, epoch: 1 })).toBe("INVALID_PRODUCER_EPOCH");
    expect(send(state, 1, { first: 1, epoch: 3 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 1, { first: 0, epoch: 3 })).toBe("ok");
    expect(state.entry(1)?.batches).toEqual([{ lastSequence: 0, lastOffset: 1, offsetDelta: 0, timestampMs: 1000 }]);
  });

  test("after a marker of a new epoch the next batch begins at 0", () => {
    const state = newState();
    send(state, 0, { first: 0, epoch: 2, transactional: true });
    state.applyMarker({ type: "commit", producerId: 1, producerEpoch: 3, coordinatorEpoch: 4, timestampMs: 2000 }, 1);
    expect(state.entry(1)).toMatchObject({ epoch: 3, coordinatorEpoch: 4, lastTimestampMs: 2000, batches: [] });
    expect(send(state, 2, { first: 1, epoch: 3 })).toBe("OUT_OF_ORDER_SEQUENCE_NUMBER");
    expect(send(state, 2, { first: 0, epoch: 3 })).toBe("ok");
  });
});

describe("transactions", () => {
  test("the first open one holds readers back until its marker is seen", () => {
    const state = newState();
    expect(state.firstUnstableOffset).toBeNull();
    send(state, 10, { id: 1, first: 0, transactional: true });
    send(state, 11, { id: 2, first: 0, transactional: true });
    send(state, 12, { id: 1, first: 1, transactional: true });
    expect(state.firstUnstableOffset).toBe(10);
    state.applyMarker({ type: "commit", producerId: 1, producerEpoch: 0, coordinatorEpoch: 0, timestampMs: 1 }, 13);
    expect(state.firstUnstableOffset).toBe(10);
    state.onHighWatermark(13);
    expect(state.firstUnstableOffset).toBe(10);
    state.onHighWatermark(14);
    expect(state.firstUnstableOffset).toBe(11);
  });

  test("forbid other writes of their producer", () => {
    const state = newState();
    send(state, 0, { first: 0, transactional: true });
    expect(send(state, 1, { first: 1 })).toBe("INVALID_TXN_STATE");
  });

  test("are found again in a snapshot", () => {
    const state = newState();
    const entry = { epoch: 0, coordinatorEpoch: -1, lastTimestampMs: 1, batches: [] };
    state.load([
      { ...entry, producerId: 1, currentTxnFirstOffset: 30 },
      { ...entry, producerId: 2, currentTxnFirstOffset: 20 },
    ]);
    expect(state.firstUnstableOffset).toBe(20);
    state.applyMarker({ type: "commit", producerId: 2, producerEpoch: 0, coordinatorEpoch: 0, timestampMs: 1 }, 40);
    state.onHighWatermark(41);
    expect(state.firstUnstableOffset).toBe(30);
  });
});

describe("bounds", () => {
  test("producers expire by the timestamps of what they wrote, unless a transaction is open", () => {
    const state = newState({ producerIdExpirationMs: 100 });
    send(state, 0, { id: 1, first: 0 }, 1000);
    send(state, 1, { id: 2, first: 0 }, 1050);
    send(state, 2, { id: 3, first: 0, transactional: true }, 1000);
    state.removeExpired(1099);
    expect(state.size).toBe(3);
    state.removeExpired(1100);
    expect([...state.entries()].map((entry) => entry.producerId)).toEqual([2, 3]);
    expect(send(state, 3, { id: 1, first: 77 })).toBe("ok");
  });

  test("beyond the maximum those that wrote the longest ago are forgotten, never one with an open transaction", () => {
    const state = newState({ maxProducers: 16 });
    send(state, 0, { id: 1000, first: 0, transactional: true });
    for (let i = 0; i < 100; i++) {
      send(state, 1 + i, { id: i, first: 0 });
      expect(state.size).toBeLessThanOrEqual(16);
    }
    expect(state.entry(99)).toBeDefined();
    expect(state.entry(0)).toBeUndefined();
    expect(state.entry(1000)).toBeDefined();
  });
});
