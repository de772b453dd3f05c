// What rows have in common: who they are asked of, and what their numbers mean.

export const KB = (bytes) => (bytes === 100 ? "100 B" : `${bytes / 1024} KiB`);
export const acksName = (acks) => (acks === -1 ? "all" : String(acks));
export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
/** Metric → how it is shown. `better`: which way is good; ratios are always "ours / theirs". */
export const metrics = {
  mbPerS: { title: "MB/s", better: "higher", digits: 0 },
  recordsPerS: { title: "records/s", better: "higher", digits: 0 },
  cpuSPerGib: { title: "CPU s/GiB", better: "lower", digits: 2 },
  cpuMsPerMib: { title: "CPU ms/MiB", better: "lower", digits: 3 },
  cpuUsPerRequest: { title: "CPU µs/request", better: "lower", digits: 1 },
  mbInPerS: { title: "MB/s in", better: "higher", digits: 0 },
  mbOutPerS: { title: "MB/s out", better: "higher", digits: 0 },
  p50Ms: { title: "p50 ms", better: "lower", digits: 2 },
  p99Ms: { title: "p99 ms", better: "lower", digits: 2 },
  transactionsPerS: { title: "transactions/s", better: "higher", digits: 0 },
  commitP50Ms: { title: "commit p50 ms", better: "lower", digits: 2 },
  commitP99Ms: { title: "commit p99 ms", better: "lower", digits: 2 },
  p999Ms: { title: "p99.9 ms", better: "lower", digits: 2 },
  ownMib: { title: "own MiB", better: "lower", digits: 0 },
  residentMib: { title: "VmRSS MiB", better: "lower", digits: 0 },
  connectedMs: { title: "connected ms", better: "lower", digits: 1 },
  acknowledgedMs: { title: "acknowledged ms", better: "lower", digits: 1 },
  createdS: { title: "created s", better: "lower", digits: 1 },
  idleCpuPercent: { title: "CPU idle %", better: "lower", digits: 1 },
  openFiles: { title: "open files", better: "lower", digits: 0 },
  joinedS: { title: "all joined s", better: "lower", digits: 2 },
  rebalancedS: { title: "all rejoined s", better: "lower", digits: 2 },
};

export const cpuS = (r) => r.cpuUserS + r.cpuSystemS;

/** Metrics of a run that only wrote, or only read. */
export function throughput(r, direction) {
  const [bytes, records, requests] = [r[`bytes${direction}`], r[`records${direction}`], r[`requests${direction}`]];
  if (bytes === 0) throw new Error(`nothing came through within ${r.seconds} s`);
  return {
    mbPerS: bytes / 1e6 / r.seconds,
    recordsPerS: records / r.seconds,
    cpuSPerGib: cpuS(r) / (bytes / 2 ** 30),
    cpuUsPerRequest: (cpuS(r) * 1e6) / requests,
    ...(r.acknowledged && { p50Ms: r.acknowledged.p50Ms, p99Ms: r.acknowledged.p99Ms }),
  };
}

export const BROKERS = ["quarkmq-durable", "quarkmq-page-cache", "kafka", "kafka-flush"];
/** flush.messages changes nothing for who only reads. */
export const READERS = ["quarkmq-durable", "quarkmq-page-cache", "kafka"];
