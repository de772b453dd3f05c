/** `quarkmq config`: the effective configuration, and where each value came from. */

import type { LoadedConfig } from "../config/load.ts";
import { allServerOptions } from "../config/server-options.ts";
import { keptWithoutEffect } from "../config/without-effect.ts";
import { command, loadForCommand } from "./command.ts";

/** A table for people: key, value, and the source with the name that was written there. */
export function configTable({ config, origins, configPath }: LoadedConfig): string {
  const rows = allServerOptions.map(({ key, kind, field }) => {
    const { source, name } = origins[field];
    const from = source === "default" ? "default" : source === "file" ? `${configPath}: ${name}` : `${source}: ${name}`;
    return [key, kind.text(config[field]) || '""', from] as const;
  });
  for (const [name, value] of keptWithoutEffect(config)) rows.push([`kafka.${name}`, value || '""', "kept, without effect"]);
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map(([key, value, from]) => `${key.padEnd(widths[0]!)}  ${value.padEnd(widths[1]!)}  ${from}\n`).join("");
}

/** The same for machines: {"configPath", "options": {key: {value, source, name}}, "kept": {name: value}}. Values are text, so that 64-bit numbers stay exact. */
export function configJson({ config, origins, configPath }: LoadedConfig): string {
  const options = allServerOptions.map(({ key, kind, field }) => [key, { value: kind.text(config[field]), ...origins[field] }]);
  const kept = Object.fromEntries(keptWithoutEffect(config));
  return `${JSON.stringify({ configPath, options: Object.fromEntries(options), kept }, null, 2)}\n`;
}

export const config = command("config", "Print the effective configuration", async (context) => {
  const loaded = loadForCommand(context, ["--json"]);
  context.out(loaded.switches.has("--json") ? configJson(loaded) : configTable(loaded));
  return 0;
});
