/** What README.md says about the program is what the program says about itself. */
import { describe, expect, test } from "bun:test";
import { allServerOptions } from "../config/server-options.ts";
import { handlers } from "../handlers/index.ts";
import { apiTable } from "../protocol/api-table.ts";

const file = Bun.file(`${import.meta.dir}/../../README.md`);
const readme = await file.text();
const BETWEEN = /(?<=<!-- api-table -->\n).*?(?=<!-- \/api-table -->)/s;

test("the table of APIs is that of the handlers (QUARKMQ_WRITE_README=1 writes it)", async () => {
  const table = `${apiTable(handlers)}\n`;
  if (process.env.QUARKMQ_WRITE_README === "1") await Bun.write(file, readme.replace(BETWEEN, table));
  else expect(BETWEEN.exec(readme)?.[0]).toBe(table);
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
