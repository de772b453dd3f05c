// Members of classic groups, thousands of them in one process: they join, lead, heartbeat and rejoin as clients do, with frames of the
// oldest plain versions (JoinGroup v3, SyncGroup v2, Heartbeat v2, LeaveGroup v1).

import { connect } from "node:net";
import { int16, int32, sleep, string } from "./admin.mjs";

const JOIN = 11;
const HEARTBEAT = 12;
const LEAVE = 13;
const SYNC = 14;
const DELETE_GROUPS = 42;
const REBALANCE_IN_PROGRESS = 27;
const ILLEGAL_GENERATION = 22;
/** COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: Kafka finds a coordinator a little before it is there. */
const NOT_YET = new Set([14, 15, 16]);

const bytes = (b) => Buffer.concat([int32(b.length), b]);
const SUBSCRIPTION = Buffer.from([0, 0, 0, 0, 0, 1, 0, 1, 0x74, 255, 255, 255, 255]); // version 0, topic "t", no user data
const ASSIGNMENT = Buffer.from([0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
const SESSION_MS = 30_000;
const REBALANCE_MS = 60_000;
const SETTLE_MS = 120_000;

/** One connection: requests are answered in the order in which they are sent. */
class Connection {
  constructor(port) {
    this.waiting = [];
    this.rest = Buffer.alloc(0);
    this.socket = connect(port, "127.0.0.1");
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => this.take(chunk));
    this.socket.on("error", (error) => this.fail(error));
    this.socket.on("close", () => this.fail(new Error("connection closed")));
  }

  /** The answer's body, behind the correlation id. */
  call(apiKey, apiVersion, ...parts) {
    const body = Buffer.concat([int16(apiKey), int16(apiVersion), int32(1), string("bench"), ...parts]);
    this.socket.write(Buffer.concat([int32(body.length), body]));
    return new Promise((done, fail) => this.waiting.push({ done, fail }));
  }

  take(chunk) {
    let all = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (all.length >= 4 && all.length >= 4 + all.readInt32BE(0)) {
      const end = 4 + all.readInt32BE(0);
      this.waiting.shift().done(all.subarray(8, end));
      all = all.subarray(end);
    }
    this.rest = Buffer.from(all);
  }

  fail(error) {
    for (const { fail } of this.waiting.splice(0)) fail(error);
  }
}

class Member {
  constructor(connection, group) {
    Object.assign(this, { connection, group, id: "", generation: -1, isStable: false, rejoining: null });
  }

  /** Until it has a part in a generation. */
  async join() {
    this.isStable = false;
    for (;;) {
      const answer = await this.connection.call(
        JOIN,
        3,
        ...[string(this.group), int32(SESSION_MS), int32(REBALANCE_MS), string(this.id)],
        ...[string("consumer"), int32(1), string("range"), bytes(SUBSCRIPTION)],
      );
      const error = answer.readInt16BE(4);
      if (NOT_YET.has(error)) {
        await sleep(100);
        continue;
      }
      if (error !== 0) throw new Error(`JoinGroup: error ${error}`);
      this.generation = answer.readInt32BE(6);
      let at = 10;
      const text = () => {
        const length = answer.readInt16BE(at);
        at += 2 + length;
        return answer.subarray(at - length, at).toString();
      };
      text();
      const leader = text();
      this.id = text();
      const assignments = leader === this.id ? rosterOf(answer, at).map((id) => [string(id), bytes(ASSIGNMENT)]) : [];
      const who = [string(this.group), int32(this.generation), string(this.id)];
      const synced = await this.connection.call(SYNC, 2, ...who, int32(assignments.length), ...assignments.flat());
      const syncError = synced.readInt16BE(4);
      if (syncError === 0) break;
      if (syncError !== REBALANCE_IN_PROGRESS && syncError !== ILLEGAL_GENERATION)
        throw new Error(`SyncGroup: error ${syncError}`);
    }
    this.isStable = true;
  }

  /** Rejoins when it is told to. */
  async beat() {
    const answer = await this.connection.call(HEARTBEAT, 2, string(this.group), int32(this.generation), string(this.id));
    const error = answer.readInt16BE(4);
    if (error === REBALANCE_IN_PROGRESS || error === ILLEGAL_GENERATION) this.rejoining = this.join();
    else if (error !== 0) throw new Error(`Heartbeat: error ${error}`);
  }

  leave() {
    return this.connection.call(LEAVE, 1, string(this.group), string(this.id));
  }
}

function rosterOf(answer, start) {
  const ids = [];
  let at = start + 4;
  for (let left = answer.readInt32BE(start); left > 0; left--) {
    const length = answer.readInt16BE(at);
    ids.push(answer.subarray(at + 2, at + 2 + length).toString());
    at += 2 + length;
    at += 4 + answer.readInt32BE(at);
  }
  return ids;
}

/** `groups` groups of `members` members each. A member that shares its connection must never wait for others: then `members` is 1. */
export class Fleet {
  constructor(port, { groups, members, connections = groups * members, name = "fleet" }) {
    this.connections = Array.from({ length: connections }, () => new Connection(port));
    this.members = Array.from(
      { length: groups * members },
      (_, i) => new Member(this.connections[i % connections], `${name}-${Math.floor(i / members)}`),
    );
    this.groups = [...new Set(this.members.map(({ group }) => group))];
    this.faults = [];
  }

  get isStable() {
    const generations = new Map(this.members.map(({ group, generation }) => [group, generation]));
    return this.members.every((member) => member.isStable && member.generation === generations.get(member.group));
  }

  /** All join at once. Resolves with the seconds until all are in one generation of their group. */
  async join() {
    return this.settle(1000, this.members);
  }

  /** One member joins again, so that all must. Seconds until all are in the next generation. */
  async rebalance(everyMs) {
    return this.settle(everyMs, this.members.slice(0, 1));
  }

  async settle(everyMs, joining) {
    const startMs = performance.now();
    const beating = this.beating(everyMs);
    try {
      for (const member of joining) member.join().catch((error) => this.faults.push(error));
      await this.untilStable();
      return (performance.now() - startMs) / 1000;
    } finally {
      await beating.stop(); // or a member would join again that is about to leave
    }
  }

  /** Heartbeats of all for so long, spread evenly. Milliseconds from when each was due to its answer: p50, p99 and the worst. */
  async beat(everyMs, durationMs) {
    const beating = this.beating(everyMs);
    await sleep(durationMs);
    await beating.stop();
    const { tookMs } = beating;
    if (tookMs.length < this.members.length) throw new Error(`only ${tookMs.length} heartbeats were answered`);
    tookMs.sort((a, b) => a - b);
    const at = (share) => tookMs[Math.min(tookMs.length - 1, Math.floor(tookMs.length * share))];
    return { count: tookMs.length, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) };
  }

  /** All stable members heartbeat in turn. */
  beating(everyMs) {
    const tookMs = [];
    const open = new Set();
    const startMs = performance.now();
    let next = 0;
    const timer = setInterval(() => {
      for (; next < ((performance.now() - startMs) * this.members.length) / everyMs; next++) {
        const member = this.members[next % this.members.length];
        if (!member.isStable) continue;
        const dueMs = startMs + (next * everyMs) / this.members.length;
        const beat = member
          .beat()
          .then(() => {
            tookMs.push(performance.now() - dueMs);
            return member.rejoining;
          })
          .catch((error) => this.faults.push(error))
          .finally(() => open.delete(beat));
        open.add(beat);
      }
    }, 1);
    const stop = () => {
      clearInterval(timer);
      return Promise.all(open);
    };
    return { tookMs, stop };
  }

  async untilStable() {
    for (const untilMs = performance.now() + SETTLE_MS; !this.isStable; await sleep(5)) {
      if (this.faults.length > 0) throw this.faults[0];
      if (performance.now() > untilMs) throw new Error("the groups do not become stable");
    }
  }

  /** All leave, and the groups are deleted. */
  async leave() {
    await Promise.all(this.members.map((member) => member.leave()));
    const [first] = this.connections;
    await first.call(DELETE_GROUPS, 0, int32(this.groups.length), ...this.groups.map(string));
  }

  disconnect() {
    for (const { socket } of this.connections) socket.destroy();
  }
}
