// `npm run bench`: quarkmq beside Kafka (and a C server) on this machine, in turn, under the same clients. Plain Node 20.
//
//   npm run bench                                            everything, three rounds (about an hour)
//   npm run bench -- --only produce,latency --rounds 1 --quick
//   npm run bench -- --list                                  what there is
//   npm run bench -- --profile produce                       where the CPU goes instead (also: consume, latency)
//   npm run bench -- --soak 15                               whether memory stays flat over so many minutes
//
// The table goes to standard output; table, JSON and chart into bench-results/. src/README.md describes the rows.

import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sleep } from "./bench/admin.mjs";
import { chart } from "./bench/chart.mjs";
import { Context } from "./bench/context.mjs";
import { environment, installBenchNeeds, root, scratch } from "./bench/needs.mjs";
import { Peer, peerNames, peerTitle } from "./bench/peers.mjs";
import { profile } from "./bench/profile.mjs";
import { advantages, markdown } from "./bench/report.mjs";
import { allRows, groups } from "./bench/rows.mjs";
import { soak } from "./bench/soak.mjs";

const MIB = 2 ** 20;
const SIZES = {
  peerWarmupMs: 20_000,
  warmupMs: 1000,
  durationMs: 4000,
  volumeBytes: 1536 * MIB,
  fillBytes: 512 * MIB,
  toolBytes: 400 * MIB,
};
const QUICK_SIZES = {
  peerWarmupMs: 10_000,
  warmupMs: 300,
  durationMs: 1500,
  volumeBytes: 768 * MIB,
  fillBytes: 192 * MIB,
  toolBytes: 150 * MIB,
};
const WARM_BYTES = 8192 * MIB;
/** Before a row: what it may write at most. */
const WARM_ROW_BYTES = 2048 * MIB;
/** Between rows: files of the last one go away. */
const PAUSE_MS = 200;

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: groups.join(",") },
      rows: { type: "string", default: "" },
      peers: { type: "string", default: peerNames.join(",") },
      rounds: { type: "string" },
      quick: { type: "boolean", default: false },
      heap: { type: "string", default: "512m" },
      out: { type: "string", default: join(root, "bench-results") },
      seconds: { type: "string" },
      list: { type: "boolean", default: false },
      profile: { type: "string" },
      soak: { type: "string" },
    },
  });
  const [only, peers] = [values.only.split(","), values.peers.split(",")];
  const unknown = [...only.filter((name) => !groups.includes(name)), ...peers.filter((name) => !peerNames.includes(name))];
  if (unknown.length > 0)
    throw new Error(`unknown: ${unknown.join(", ")}. Groups: ${groups.join(", ")}. Peers: ${peerNames.join(", ")}`);
  const sizes = { ...(values.quick ? QUICK_SIZES : SIZES) };
  if (values.seconds) sizes.durationMs = Number(values.seconds) * 1000;
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3));
  return { ...values, only, peers, rounds, sizes, startedAt: new Date().toISOString() };
}

const say = (line) => console.error(`${new Date().toTimeString().slice(0, 8)} ${line}`);

/**
 * Fills so much of the page cache and lets go of it. Memory that a virtual machine has not used yet, or not for some seconds (it gives back to
 * its host what is free), costs two to ten times as much to write to, and that would be on whoever comes first or has bad luck.
 */
function warmMemory(bytes) {
  const path = join(scratch, "warm-up");
  const block = Buffer.alloc(8 * MIB, 1);
  const file = openSync(path, "w");
  try {
    for (let left = Math.min(freemem() / 2, bytes); left > 0; left -= block.length) writeSync(file, block);
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}

/** Both directions at both record sizes, so that what compiles itself has done so. */
async function warmUp(context) {
  const durationMs = context.peerWarmupMs / 4;
  for (const recordBytes of [100, 1024]) {
    const topic = await context.topic(4);
    const maxBytes = context.volumeBytes;
    await context.load(topic, { recordBytes, producers: 4, durationMs, maxBytes });
    await context.load(topic, { producers: 0, consumers: 4, again: true, durationMs, maxBytes });
    await context.afterRow();
  }
  context.forgetPeak();
}

async function runRow(row, context) {
  try {
    const result = { ...(await row.run(context)) };
    const peak = context.takeRowPeak();
    if (peak.ownMib > 0) result.ownMib ??= peak.ownMib; // in the JSON, beside what the tables show
    row.results[context.peer.name] ??= {};
    const all = row.results[context.peer.name];
    for (const [name, value] of Object.entries(result)) all[name] = [...(all[name] ?? []), value];
    const shown = row.show.map((name) => `${name} ${Number(result[name]).toPrecision(4)}`);
    say(`  ${row.id}: ${shown.join(", ")}`);
  } catch (error) {
    row.errors[context.peer.name] = error.message.split("\n").join(" ");
    say(`  ${row.id}: FAILED: ${error.message}`);
  }
}

/** All rows of one peer, once. A peer that died is started again for the next row. */
async function runPeer(name, rows, options) {
  const peer = new Peer(name, options);
  const context = new Context(peer, options.sizes);
  try {
    await peer.prepare();
    await peer.start();
    for (const row of rows.filter((one) => one.isFirst)) await runRow(row, context);
    if (rows.some((row) => !row.isFirst && !row.ownsPeer)) await warmUp(context);
    for (const row of rows.filter((one) => !one.isFirst)) {
      warmMemory(WARM_ROW_BYTES);
      if (peer.memory().residentMib === 0) await peer.start();
      await runRow(row, context);
      await context.afterRow();
      await sleep(PAUSE_MS);
    }
  } catch (error) {
    for (const row of rows) if (!row.results[name]) row.errors[name] ??= error.message;
    say(`  ${name}: ${error.message}`);
  } finally {
    await peer.destroy();
  }
}

function save(options, rows) {
  const results = { options, environment: environment(), rows };
  const name = options.startedAt.slice(0, 16).replaceAll(":", "").replace("T", "-");
  const text = markdown(results);
  mkdirSync(options.out, { recursive: true });
  const write = (ending, content) => writeFileSync(join(options.out, `${name}.${ending}`), content);
  write("json", `${JSON.stringify(results, null, 1)}\n`);
  write("md", text);
  const { cpu, cores } = results.environment;
  write("svg", chart(advantages(rows), `${cpu}, ${cores} cores; ${options.startedAt.slice(0, 10)}`));
  console.log(text);
  say(`saved ${join(options.out, name)}.{md,json,svg}`);
}

async function main() {
  const options = readOptions();
  const rows = allRows(options.quick)
    .filter((row) => options.only.includes(row.group) && row.id.includes(options.rows))
    .map((row) => ({ ...row, peers: row.peers.filter((name) => options.peers.includes(name)), results: {}, errors: {} }));
  if (options.list) {
    for (const row of rows) console.log(`${row.id}: ${row.title} (${row.peers.join(", ")})`);
    return;
  }
  await installBenchNeeds();
  if (options.profile) return profile(options.profile, options);
  if (options.soak) return soak(Number(options.soak), options);
  onInterrupt = () => save(options, rows);
  warmMemory(WARM_BYTES);
  for (let round = 1; round <= options.rounds; round++) {
    const order = round % 2 === 1 ? options.peers : [...options.peers].reverse();
    for (const name of order) {
      const own = rows.filter((row) => row.peers.includes(name) && (round === 1 || !row.isOnce));
      if (own.length === 0) continue;
      say(`round ${round} of ${options.rounds}: ${peerTitle(name)}`);
      await runPeer(name, own, options);
    }
  }
  save(options, rows);
}

/** What an interrupted run has so far is saved, too; main sets it. */
let onInterrupt = () => {};
for (const signal of ["SIGINT", "SIGTERM"])
  process.on(signal, () => {
    onInterrupt();
    process.exit(130);
  });
try {
  await main();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
