// `npm run bench -- --soak MINUTES`: does memory stay flat? One quarkmq under a load that changes all the time: a fixed rate through, readers
// from the start of everything, small batches at full speed, connections that come and go, topics that are made and removed.

import { sleep } from "./admin.mjs";
import { Context } from "./context.mjs";
import { Peer, peerTitle } from "./peers.mjs";
import { median } from "./statistics.mjs";

const PARTITIONS = 100;
/** A topic is replaced after so many rounds, so that the disk does not fill. */
const ROUNDS_PER_TOPIC = 8;
const ROUND = [
  { producers: 8, consumers: 8, recordBytes: 1024, rate: 10_000, durationMs: 8000 },
  { producers: 0, consumers: 8, again: true, durationMs: 3000 },
  { producers: 16, recordBytes: 100, batchBytes: 1024, maxBytes: 48 << 20, durationMs: 3000 },
  { producers: 4, consumers: 4, recordBytes: 1024, batchBytes: 262144, maxBytes: 256 << 20, durationMs: 3000 },
  { producers: 1, idle: 500, recordBytes: 1024, rate: 1000, durationMs: 2000 },
];

/** Prints a line a round, and at the end the medians of the first and the last third. Throws if the broker dies. */
export async function soak(minutes, { sizes, heap, peers }) {
  const peer = new Peer(peers.length === 1 ? peers[0] : "quarkmq-durable", { heap });
  const context = new Context(peer, { ...sizes, warmupMs: 100 });
  await peer.prepare();
  const samples = [];
  try {
    await peer.start();
    const beganMs = Date.now();
    console.log(
      `# Soak of ${peerTitle(peer.name)}: ${minutes} minutes\n\n| minute | own MiB after | own MiB at most | VmRSS MiB | CPU s | open files |`,
    );
    console.log("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for (let round = 0; Date.now() - beganMs < minutes * 60_000; round++) {
      if (round % ROUNDS_PER_TOPIC === 0) {
        await context.afterRow();
        await context.topic(PARTITIONS);
      }
      const topic = context.topics.at(-1);
      for (const shape of ROUND) await context.load(topic, shape);
      await sleep(1000);
      const { ownMib, residentMib } = peer.memory();
      if (residentMib === 0) throw new Error("the broker is gone");
      const minute = (Date.now() - beganMs) / 60_000;
      const { userS, systemS } = peer.cpu();
      const peakMib = context.takeRowPeak().ownMib;
      samples.push({ ownMib, peakMib });
      const row = [
        minute.toFixed(1),
        ownMib.toFixed(0),
        peakMib.toFixed(0),
        residentMib.toFixed(0),
        (userS + systemS).toFixed(0),
        peer.openFiles(),
      ];
      console.log(`| ${row.join(" | ")} |`);
    }
  } finally {
    await peer.destroy();
  }
  const third = Math.max(1, Math.floor(samples.length / 3));
  const of = (part, name) => median(part.map((sample) => sample[name]));
  const [first, last] = [samples.slice(0, third), samples.slice(-third)];
  const line = (name, title) =>
    `${title}: first third ${of(first, name).toFixed(0)} MiB, last third ${of(last, name).toFixed(0)} MiB (${(of(last, name) / of(first, name)).toFixed(2)} ×)`;
  console.log(`\n${line("ownMib", "between loads")}\n${line("peakMib", "under load")}`);
}
