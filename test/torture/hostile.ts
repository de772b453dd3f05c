/** Tortures by clients: frames that lie, clients that are slow, silent or many. Others must be served meanwhile. */

import { connect, type Socket } from "node:net";
import { SeededRandom } from "../sim/seeded-random.ts";
import { startTarget, type Target } from "../support/target.ts";
import { sleep } from "../support/until.ts";
import { fetchRequest, int32, request, WireConnection } from "../support/wire.ts";
import { batchOf, noProducer } from "./batches.ts";
import { Client } from "./client.ts";
import { hostileFrame, largeFrames } from "./frames.ts";
import { Violation } from "./load.ts";
import { goesOn, type Run, type Torture } from "./torture.ts";
import { Canary, forgetPeak, memoryOf } from "./watch.ts";

const MIB = 1 << 20;
const PROBE_ID = 0x0badcafe;
/** Fetch, JoinGroup, SyncGroup: their answer may take its time. */
const mayWait = new Set([1, 11, 14]);
/** How long a hostile frame may take: sixteen at once are unpacked one after the other, and the machine may be busy with other things. */
const ANSWER_LIMIT_MS = 30_000;
/** How long the canary may ever wait: the machine may be busy with other things. */
const CANARY_LIMIT_MS = 10_000;

async function broker(run: Run, settings: Record<string, string> = {}): Promise<Target> {
  const target = await startTarget({
    settings: { "server.request_timeout_ms": "1000", "defaults.max_partitions": "20000", ...settings },
  });
  run.cleanUp(() => target.destroy());
  return target;
}

/** Sends a frame and a good request behind it. What is left open is answered or closed, or of a kind that may wait. */
async function answeredOrClosed(connection: WireConnection, frame: Buffer): Promise<void> {
  connection.send(frame, request(18, 0, PROBE_ID));
  const patient = frame.length >= 6 && mayWait.has(frame.readInt16BE(4));
  const limitMs = patient ? 300 : ANSWER_LIMIT_MS;
  for (const until = Date.now() + limitMs; Date.now() < until; ) {
    try {
      if ((await connection.next(limitMs)).readInt32BE(0) === PROBE_ID) return;
    } catch (error) {
      if (connection.closed) return;
      if (!patient) throw error;
    }
  }
  if (!patient) throw new Violation("neither answered nor closed");
  connection.end();
}

/** One hostile client, from a seed of its own. */
async function attack(port: number, seed: number, frames: number): Promise<void> {
  const random = new SeededRandom(seed);
  let connection: WireConnection | null = null;
  for (let i = 0; i < frames; i++) {
    const frame = hostileFrame(random);
    if (connection === null || connection.closed) connection = await WireConnection.open(port);
    try {
      await answeredOrClosed(connection, frame);
    } catch (error) {
      throw new Violation(
        `frame ${i} of client ${seed}: ${error}\n${frame.subarray(0, 400).toString("hex")} (${frame.length} bytes)`,
      );
    }
    if (random.chance(0.05)) connection.end();
  }
  connection?.end();
}

export const fuzz: Torture = {
  name: "fuzz",
  cycles: { bounded: 3, endless: 30 },
  async run(run) {
    const target = await broker(run);
    const canary = await Canary.start(target);
    const client = await Client.open(target.port);
    await client.createTopic("fuzz", 3);
    client.close();
    const beforeBytes = memoryOf(target.pid, "VmRSS");
    const [clients, perCycle] = [4, 100];
    let done = 0;
    for (; goesOn(run, done); done++) {
      const seeds = Array.from({ length: clients }, (_, i) => run.seed * 1_000_000 + done * clients + i);
      await Promise.all(seeds.map((seed) => attack(target.port, seed, perCycle)));
    }
    const grownBytes = memoryOf(target.pid, "VmHWM") - beforeBytes;
    if (grownBytes > 700 * MIB) throw new Violation(`memory grew by ${grownBytes / MIB} MiB`);
    return `${done * clients * perCycle} frames, ${Math.round(grownBytes / MIB)} MiB more, ${await canary.stop(CANARY_LIMIT_MS)}`;
  },
};

/** Frames of a mebibyte, 16 of a kind at once: each may cost 8 MiB. What unpacks may cost its bound twice beside that, one at a time. */
export const large: Torture = {
  name: "large",
  cycles: { bounded: 1, endless: 3 },
  async run(run) {
    const target = await broker(run);
    const canary = await Canary.start(target);
    const client = await Client.open(target.port);
    await client.createTopic("fuzz", 3);
    const frames = [...largeFrames()];
    const side = 16;
    const costs: string[] = [];
    const beyond: string[] = [];
    const send = async (frame: Buffer, times: number) => {
      const connections = await Promise.all(Array.from({ length: times }, () => WireConnection.open(target.port)));
      await Promise.all(connections.map((connection) => answeredOrClosed(connection, frame)));
      for (const connection of connections) connection.end();
    };
    await send(frames.find(([name]) => name === "a mebibyte of one record")![1], side); // the tail cache fills, code is compiled
    for (let done = 0; goesOn(run, done); done++) {
      for (const [name, frame] of frames) {
        const allowedMib = 8 * Math.max(1, frame.length / MIB);
        let costMib = Number.POSITIVE_INFINITY;
        // What others left for the collector counts too: what is beyond five times is beyond.
        for (let n = 0; n < 5 && costMib > allowedMib; n++) {
          await sleep(100);
          forgetPeak(target.pid);
          const beforeBytes = memoryOf(target.pid, "VmHWM");
          await send(frame, side);
          costMib = (memoryOf(target.pid, "VmHWM") - beforeBytes) / side / MIB;
        }
        costs.push(`${costMib.toFixed(1)} ${name}`);
        if (costMib > allowedMib) beyond.push(costs.at(-1)!);
      }
    }
    if (beyond.length > 0) throw new Violation(`beyond 8 MiB a frame: ${beyond.join("; ")}\nall: ${costs.join("; ")}`);
    client.close();
    return `MiB each: ${costs.slice(0, frames.length).join("; ")}; ${await canary.stop(CANARY_LIMIT_MS)}`;
  },
};

function opened(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.on("error", reject);
  });
}

/** Begins requests and goes on with a byte at a time, and slower than the broker allows. */
export const loris: Torture = {
  name: "loris",
  cycles: { bounded: 1, endless: 5 },
  async run(run) {
    const target = await broker(run);
    const canary = await Canary.start(target);
    let done = 0;
    for (; goesOn(run, done); done++) {
      const sockets = await Promise.all(Array.from({ length: 300 }, () => opened(target.port)));
      const closed = new Set<Socket>();
      for (const socket of sockets) socket.on("close", () => closed.add(socket)).resume();
      const frame = run.random.chance(0.5)
        ? request(18, 0, 1, Buffer.alloc(1000))
        : Buffer.concat([int32(90 * MIB), Buffer.alloc(1000)]);
      for (let at = 0; at < 100 && closed.size < sockets.length; at++, await sleep(100))
        for (const socket of sockets) if (!closed.has(socket)) socket.write(frame.subarray(at, at + 1));
      const left = sockets.length - closed.size;
      for (const socket of sockets) socket.destroy();
      if (left > 0) throw new Violation(`${left} connections that send a byte at a time were still open after 10 s`);
    }
    return `${done * 300} connections, ${await canary.stop(CANARY_LIMIT_MS)}`;
  },
};

/** Asks for much and never reads it. */
export const deaf: Torture = {
  name: "deaf",
  cycles: { bounded: 1, endless: 5 },
  async run(run) {
    const budgetBytes = 64 * MIB;
    const target = await broker(run, {
      "server.request_buffer_bytes": String(budgetBytes),
      "server.request_max_bytes": String(16 * MIB),
    });
    const canary = await Canary.start(target);
    const client = await Client.open(target.port);
    await client.createTopic("much", 1);
    const batch = batchOf([Buffer.alloc(500_000, "m")], noProducer, -1);
    for (let i = 0; i < 20; i++) await client.produce("much", new Map([[0, batch]]));
    client.close();
    const beforeBytes = memoryOf(target.pid, "VmRSS");
    forgetPeak(target.pid);
    let done = 0;
    for (; goesOn(run, done); done++) {
      const sockets = await Promise.all(Array.from({ length: 100 }, () => opened(target.port)));
      for (const socket of sockets) {
        socket.pause();
        socket.on("error", () => {}); // the broker may close it: it needs the memory
        const asks = Array.from({ length: 200 }, (_, i) => fetchRequest(i, "much", 0, 0, { maxWaitMs: 0, maxBytes: 10 * MIB }));
        socket.write(Buffer.concat([...asks, ...Array.from({ length: 200 }, (_, i) => request(3, 1, i, int32(-1)))]));
      }
      await sleep(3000);
      for (const socket of sockets) socket.destroy();
    }
    const grownMib = (memoryOf(target.pid, "VmHWM") - beforeBytes) / MIB;
    if (grownMib > (2 * budgetBytes) / MIB + 100)
      throw new Violation(`memory grew by ${grownMib} MiB, the budget is ${budgetBytes / MIB}`);
    return `${done * 100} clients, ${Math.round(grownMib)} MiB more, ${await canary.stop(CANARY_LIMIT_MS)}`;
  },
};

/** As many connections as the machine lets us have, up to 9,900: idle. */
export const crowd: Torture = {
  name: "crowd",
  cycles: { bounded: 1, endless: 3 },
  async run(run) {
    const target = await broker(run);
    const canary = await Canary.start(target);
    const limit = Number(/Max open files\s+(\d+)/.exec(await Bun.file("/proc/self/limits").text())?.[1] ?? 1024);
    const count = Math.min(9900, limit - 300);
    const beforeBytes = memoryOf(target.pid, "VmRSS");
    let grownMib = 0;
    let done = 0;
    for (; goesOn(run, done); done++) {
      const sockets: Socket[] = [];
      while (sockets.length < count)
        sockets.push(
          ...(await Promise.all(Array.from({ length: Math.min(100, count - sockets.length) }, () => opened(target.port)))),
        );
      let closed = 0;
      for (const socket of sockets) socket.on("close", () => closed++);
      const turns = canary.turns;
      await sleep(1500);
      if (canary.turns === turns) throw new Violation(`the canary is not served beside ${count} idle connections`);
      if (closed > 0) throw new Violation(`${closed} of ${count} idle connections were closed`);
      grownMib = (memoryOf(target.pid, "VmRSS") - beforeBytes) / MIB;
      for (const socket of sockets) socket.destroy();
    }
    if (grownMib * 1024 > count * 24) throw new Violation(`${count} idle connections cost ${grownMib} MiB`);
    return `${count} connections, ${Math.round(grownMib)} MiB more, ${await canary.stop(CANARY_LIMIT_MS)}`;
  },
};
