// The chart: how many times better than Kafka each row is, on a logarithmic scale, as an SVG without anything it must load.

const [WIDTH, LABEL, BAR, GAP] = [1000, 470, 11, 5];
const COLOURS = { "quarkmq-page-cache": "#2563eb", "quarkmq-durable": "#93b4f5" };
const NAMES = { "quarkmq-page-cache": "quarkmq, page-cache", "quarkmq-durable": "quarkmq, durable" };

const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
const text = (x, y, content, extra = "") => `<text x="${x}" y="${y}" ${extra}>${escaped(content)}</text>`;

/** `bars`: [{ ours, group, title, metric, value }], value > 1 is better than Kafka with its defaults. */
export function chart(bars, subtitle) {
  const [low, high] = [Math.min(0.25, ...bars.map((b) => b.value)), Math.max(4, ...bars.map((b) => b.value))];
  const room = WIDTH - LABEL - 70;
  const x = (value) => LABEL + ((Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))) * room;
  const parts = [];
  let y = 78;
  let [group, title] = ["", ""];
  for (const bar of bars) {
    if (bar.group !== group) {
      y += 12;
      parts.push(text(8, y + 8, bar.group, 'font-weight="bold"'));
      y += 16;
    }
    if (bar.group !== group || bar.title !== title) {
      if (bar.group === group) y += GAP;
      parts.push(text(LABEL - 8, y + 9, `${bar.title} (${bar.metric})`, 'text-anchor="end"'));
    }
    [group, title] = [bar.group, bar.title];
    const [from, to] = [Math.min(x(1), x(bar.value)), Math.max(x(1), x(bar.value))];
    parts.push(
      `<rect x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="${BAR - 1}" fill="${COLOURS[bar.ours]}"/>`,
    );
    parts.push(text((to + 4).toFixed(1), y + 9, `${bar.value.toFixed(2)} ×`));
    y += BAR;
  }
  const grid = [0.01, 0.1, 0.25, 0.5, 1, 2, 4, 10, 25, 100, 1000]
    .filter((value) => value >= low && value <= high)
    .map(
      (value) =>
        `<line x1="${x(value)}" x2="${x(value)}" y1="66" y2="${y}" stroke="${value === 1 ? "#111" : "#ddd"}"/>${text(x(value), 60, `${value} ×`, 'text-anchor="middle"')}`,
    );
  const legend = Object.keys(NAMES).map(
    (name, i) =>
      `<rect x="${LABEL + i * 190}" y="30" width="12" height="12" fill="${COLOURS[name]}"/>${text(LABEL + 18 + i * 190, 40, NAMES[name])}`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 12}" font-family="sans-serif" font-size="10.5">
<rect width="100%" height="100%" fill="#fff"/>
${text(8, 20, "How many times better than Apache Kafka 4.3.1 with its defaults", 'font-size="15" font-weight="bold"')}
${text(8, 40, subtitle)}
${[...legend, ...grid, ...parts].join("\n")}
</svg>
`;
}
