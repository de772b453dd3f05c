/** What README.md says about the program is what the program says about itself. */
import { describe, expect, test } from "bun:test";
import { allServerOptions } from "../config/server-options.ts";
import { configsWithoutEffect } from "../config/without-effect.ts";
import { handlers } from "../handlers/index.ts";
import { apiTable } from "../protocol/api-table.ts";

const file = Bun.file(`${import.meta.dir}/../../README.md`);
const readme = await file.text();

/** The Kafka configs that are kept without effect, as the README lists them: what begins alike stands in one line. */
const withoutEffect = (): string =>
  configsWithoutEffect()
    .map(({ of, names }) => {
      const lines = Map.groupBy(names, (name) => name.split(".").slice(0, 2).join("."));
      const text = [...lines.values()].map((line) => line.map((name) => `\`${name}\``).join(" ")).join("\n");
      return `<details><summary>Configs of ${of}</summary>\n\n${text}\n\n</details>\n`;
    })
    .join("\n");

/** What stands between two comments of a name is made of the program (QUARKMQ_WRITE_README=1 writes it). */
const derived: readonly [name: string, text: () => string][] = [
  ["api-table", () => `${apiTable(handlers)}\n`],
  ["configs-without-effect", withoutEffect],
];

for (const [name, text] of derived)
  test(`${name} is what the program says`, async () => {
    const between = new RegExp(`(?<=<!-- ${name} -->\\n).*?(?=<!-- /${name} -->)`, "s");
    if (process.env.QUARKMQ_WRITE_README === "1") await Bun.write(file, (await file.text()).replace(between, text()));
    else expect(between.exec(readme)?.[0]).toBe(text());
  });

describe("the table of options", () => {
  const rows = [...readme.matchAll(/^\| `\[(\w+)\] (\w+)` \| `(\w+)` \| `(--[\w-]+)` \| `?([^`|]*)`? \|$/gm)];

  test("is there", () => expect(rows.length).toBeGreaterThan(5));

  for (const [, section, name, env, flag, value] of rows)
    test(`${section}.${name}`, () => {
      const option = allServerOptions.find(({ key }) => key === `${section}.${name}`);
      expect([option?.env, option?.flag]).toEqual([env, flag]);
      if (option!.default !== null) expect(option!.kind.text(option!.default)).toBe(value!);
    });
});

test("every variable and flag that it names exists", () => {
  const names = new Set(allServerOptions.flatMap(({ env, flag }) => [env, flag]));
  const own = new Set(["QUARKMQ_CONFIG", "--set", "--help", "--json"]);
  const kafkaTools = /^\s*(echo .*\| )?kafka-.*$/gm; // their flags are their own
  const others = /^.*(docker run|sha256sum|systemctl|chown|npm (start|run)).*$/gm;
  const named = readme
    .replace(kafkaTools, "")
    .replace(others, "")
    .matchAll(/\bQUARKMQ_\w+|(?<![\w-])--[a-z][\w-]+/g);
  const unknown = [...named].map(([name]) => name).filter((name) => !names.has(name) && !own.has(name));
  expect(unknown).toEqual([]);
});
