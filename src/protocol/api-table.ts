/** Owns the README's table of APIs, rendered from the declarations: what Kafka has, what is served, what is advertised. */
import { type AnyApi, parseVersions, type Versions } from "./schema.ts";

export interface ApiRow {
  readonly api: AnyApi;
  /** The versions that are served whole. */
  readonly served: Versions;
  /** What ApiVersions says, when it differs from `served`. */
  readonly advertised?: Versions | undefined;
}

const HEAD = ["| Key | API | Served | In Kafka 4.4 | Note |", "| ---: | --- | --- | --- | --- |"];

/** A Markdown table by API key, without a final newline; versions are written "0–13". */
export function apiTable(rows: readonly ApiRow[]): string {
  const sorted = [...rows].sort((a, b) => a.api.key - b.api.key);
  return [...HEAD, ...sorted.map(row)].join("\n");
}

function row({ api, served, advertised }: ApiRow): string {
  const note = advertised === undefined || advertised === served ? "" : `advertised as ${shown(advertised)}`;
  return `| ${[api.key, api.name, shown(served), shown(api.declared), note].join(" | ")} |`.replace(/ {2,}\|$/, " |");
}

function shown(versions: Versions): string {
  const range = parseVersions(versions);
  if (range === null) return "none";
  return range.min === range.max ? `${range.min}` : `${range.min}–${range.max}`;
}
