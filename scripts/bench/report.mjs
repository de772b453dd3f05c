// The tables: one Markdown text from the results of a run. Every row that ran is there; what failed says why.

import { peerTitle } from "./peers.mjs";
import { metrics } from "./rows/shared.mjs";
import { median, spreadPercent } from "./statistics.mjs";

/** Ratios that the tables show: ours over theirs. */
const RATIOS = [
  ["quarkmq-page-cache", "kafka", "page-cache ÷ Kafka"],
  ["quarkmq-durable", "kafka", "durable ÷ Kafka"],
  ["quarkmq-durable", "kafka-flush", "durable ÷ Kafka flush=1"],
  ["quarkmq-page-cache", "c", "page-cache ÷ C"],
];

const GROUP_TITLES = {
  produce: "Produce",
  consume: "Consume",
  mixed: "Produce and consume together",
  latency: "End-to-end latency at a fixed rate",
  memory: "Memory",
  start: "Start",
  recovery: "Recovery",
  scale: "Very many partitions",
  limit: "Against the limit: a C server, page cache",
  compression: "Topics with a compression of their own, page cache",
  compaction: "Compaction of a topic with keys, a slow load beside it",
  tools: "Kafka's own perf tools",
  librdkafka: "librdkafka at its defaults",
  transactions: "Transactions of Java's client at its defaults, one producer",
  curves: "Cost as something grows",
  groups: "Consumer groups",
};

const number = (value, digits) =>
  value === null || value === undefined
    ? "–"
    : value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** "123 ±4 %": the median and, of several rounds, the spread. */
function cell(values, digits) {
  if (!values || values.length === 0) return "–";
  const spread = values.length > 1 ? ` ±${spreadPercent(values).toFixed(0)} %` : "";
  return number(median(values), digits) + spread;
}

const ratio = (a, b) => (a && b ? median(a) / median(b) : null);

function table(heads, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(heads), `|---|${"---:|".repeat(heads.length - 1)}`, ...rows.map(line)].join("\n");
}

/** A row's lines: one per metric. */
function rowLines(row, peers, ratios) {
  return row.show.map((name, i) => {
    const { title, digits } = metrics[name];
    const values = (peer) => row.results[peer]?.[name];
    const cells = peers.map((peer) => (row.errors[peer] ? "failed" : cell(values(peer), digits)));
    const compared = ratios.map(([a, b]) => {
      const value = ratio(values(a), values(b));
      return value === null ? "–" : `${value.toFixed(2)} ×`;
    });
    return [i === 0 ? row.title : "", title, ...cells, ...compared];
  });
}

function groupText(group, rows) {
  const peers = [...new Set(rows.flatMap((row) => row.peers))];
  const ratios = RATIOS.filter(([a, b]) => peers.includes(a) && peers.includes(b));
  const heads = ["", "", ...peers.map(peerTitle), ...ratios.map(([, , title]) => title)];
  const errors = rows.flatMap((row) =>
    Object.entries(row.errors).map(([peer, error]) => `- ${row.id}, ${peerTitle(peer)}: ${error}`),
  );
  const lines = rows.flatMap((row) => rowLines(row, peers, ratios));
  return `## ${GROUP_TITLES[group]}\n\n${table(heads, lines)}\n${errors.length > 0 ? `\nFailed:\n\n${errors.join("\n")}\n` : ""}`;
}

/** The whole report. */
export function markdown({ rows, environment: e, options: o }) {
  const groups = [...new Set(rows.map((row) => row.group))];
  const head = [
    `# Benchmark of ${o.startedAt.slice(0, 10)}`,
    "",
    `${e.cpu}, ${e.cores} cores, ${e.memoryGib.toFixed(0)} GiB, Linux ${e.kernel}, ${e.disk}; quarkmq ${e.commit}; ${e.kafka} on ${e.java}, heap ${o.heap}, Kafka's own JVM options; ${e.gcc} with ${e.cFlags}.`,
    `${o.rounds} round${o.rounds === 1 ? "" : "s"}${o.quick ? ", quick" : ""}, one broker at a time, warm-up ${o.sizes.peerWarmupMs / 1000} s a broker and ${o.sizes.warmupMs / 1000} s a row, ${o.sizes.durationMs / 1000} s or ${Math.round(o.sizes.volumeBytes / 2 ** 20)} MiB a row (four times as much when consuming).`,
    "Medians; ± is half of what lies between the smallest and the largest round. MB is 10⁶ bytes of record batches. CPU is the broker process's own (user and system; the kernel's threads that write dirty pages are nobody's). Own memory is RssAnon and shared dirty pages.",
    "The client is scripts/bench/native/load.c (frames made beforehand, batches of 16 KiB, five in flight a connection) but for the rows of Kafka's tools and librdkafka.",
    "",
  ];
  return [
    ...head,
    ...groups.map((group) =>
      groupText(
        group,
        rows.filter((row) => row.group === group),
      ),
    ),
  ].join("\n");
}

/** Ratios of a run, for the chart: one bar a row, page-cache over Kafka, turned so that above 1 is better. */
export function advantages(rows) {
  const bars = [];
  for (const row of rows) {
    const name = row.show[row.group === "latency" ? 1 : 0];
    for (const ours of ["quarkmq-page-cache", "quarkmq-durable"]) {
      const value = ratio(row.results[ours]?.[name], row.results.kafka?.[name]);
      if (value)
        bars.push({
          ours,
          group: row.group,
          title: row.title,
          metric: metrics[name].title,
          value: metrics[name].better === "higher" ? value : 1 / value,
        });
    }
  }
  return bars;
}
