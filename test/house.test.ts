/** The law of the house (src/README.md), held by machine: floors, the one place for input and output, names of files, exports. */

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dir, "..");
const src = join(root, "src");

/** A folder imports only from lower floors, never from its own floor's neighbours. */
const floors: Record<string, number> = {
  ...{ base: 0, io: 1, bytes: 1, protocol: 2, config: 2, record: 3, log: 4, client: 4 },
  ...{ metadata: 5, group: 5, txn: 5, security: 5, cluster: 5, broker: 6, handlers: 7, server: 8, cli: 9 },
};

/** The pure machines: no input or output, no clock, and so no more than these. */
const machines = ["group", "txn", "security", "cluster"];
const machineImports = ["base", "bytes", "protocol", "config", "record"];

/** Modules of the platform that any floor may use: they compute and touch nothing outside. */
const pureModules = ["node:path", "node:zlib", "node:buffer", "node:assert"];

/** What reaches outside the process, or differs from run to run. Only io/ has it (and cli/, for the process itself). */
const outside: [what: string, pattern: RegExp][] = [
  ["the clock", /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.(hrtime|uptime)\b|\bBun\.nanoseconds\b/],
  ["timers", /\bset(Timeout|Interval|Immediate)\b|\bBun\.sleep(Sync)?\b|\bprocess\.nextTick\b/],
  ["chance", /\bMath\.random\b|\brandomUUID\b|\bgetRandomValues\b|\brandomBytes\b/],
  [
    "sockets and files",
    /\bBun\.(listen|connect|serve|udpSocket|file|write|spawn|spawnSync|mmap|openInEditor|stdin|stdout|stderr)\b/,
  ],
  ["the network", /\bawait fetch\(|\bglobalThis\.fetch\b|\bnew WebSocket\b/],
  ["the process", /\bprocess\.(exit|on|once|kill|env|argv|stdout|stderr|stdin|cwd|chdir)\b/],
  ["the console", /\bconsole\.\w+\(/],
];

interface SourceFile {
  /** "log/segment.ts" */
  path: string;
  folder: string;
  text: string;
  /** Its code: without comments and the contents of strings. */
  code: string;
  imports: string[];
}

/** Comments and the contents of strings blanked out; template literals are kept, code stands in them. */
function codeOf(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, (m) =>
    m.startsWith("/") ? " " : '""',
  );
}

function importsOf(text: string): string[] {
  const bare = text.replace(/\/\*[\s\S]*?\*\//g, " ").replace(/^\s*\/\/[^\n]*/gm, "");
  return [...bare.matchAll(/\bfrom\s+"([^"]+)"|\bimport\s*\(\s*"([^"]+)"\s*\)|^\s*import\s+"([^"]+)"/gm)].map(
    (m) => (m[1] ?? m[2] ?? m[3])!,
  );
}

/** Tests, what they alone use, and rigs live by looser rules: they may reach everything. */
const isTest = (path: string) => /(\.test|-rig|-fixture|-fixtures|\.bench)\.ts$/.test(path);

const files: SourceFile[] = (readdirSync(src, { recursive: true }) as string[])
  .filter((path) => path.endsWith(".ts"))
  .sort()
  .map((path) => {
    const text = readFileSync(join(src, path), "utf8");
    return { path, folder: path.split("/")[0]!, text, code: codeOf(text), imports: importsOf(text) };
  });
const product = files.filter((f) => !isTest(f.path) && !f.imports.includes("bun:test"));

/** The folder under src that an import leads to; null for packages and the platform. */
function folderOf(from: SourceFile, specifier: string): string | null {
  if (!specifier.startsWith(".")) return null;
  const target = relative(src, resolve(src, dirname(from.path), specifier));
  return target.startsWith("..") ? null : target.split("/")[0]!;
}

describe("the law of the house", () => {
  test("there is a house", () => {
    expect(product.length).toBeGreaterThan(50);
    expect(product.filter((f) => !(f.folder in floors)).map((f) => f.path)).toEqual([]);
  });

  test("imports lead to lower floors only", () => {
    const broken = product.flatMap((f) =>
      f.imports.flatMap((specifier) => {
        const folder = folderOf(f, specifier);
        if (folder === null || folder === f.folder) return [];
        return floors[folder]! < floors[f.folder]! ? [] : [`${f.path} imports ${specifier}`];
      }),
    );
    expect(broken).toEqual([]);
  });

  test("the machines import only what is pure", () => {
    const broken = product
      .filter((f) => machines.includes(f.folder))
      .flatMap((f) =>
        f.imports
          .filter((specifier) => {
            const folder = folderOf(f, specifier);
            return folder !== f.folder && (folder === null || !machineImports.includes(folder));
          })
          .map((specifier) => `${f.path} imports ${specifier}`),
      );
    expect(broken).toEqual([]);
  });

  test("relative imports name the file with its ending", () => {
    const broken = files.flatMap((f) =>
      f.imports.filter((s) => s.startsWith(".") && !/\.(ts|json)$/.test(s)).map((s) => `${f.path}: ${s}`),
    );
    expect(broken).toEqual([]);
  });

  test("only io/ uses the platform's modules that reach outside", () => {
    const broken = product
      .filter((f) => f.folder !== "io")
      .flatMap((f) =>
        f.imports
          .filter((s) => (s.startsWith("node:") || s === "bun" || s.startsWith("bun:")) && !pureModules.includes(s))
          .map((s) => `${f.path} imports ${s}`),
      );
    expect(broken).toEqual([]);
  });

  for (const [what, pattern] of outside) {
    test(`only io/ has ${what}`, () => {
      const allowed = (f: SourceFile) =>
        f.folder === "io" || (["the process", "the console"].includes(what) && f.path === "cli/main.ts");
      const broken = product
        .filter((f) => !allowed(f) && pattern.test(f.code))
        .map((f) => `${f.path}: ${pattern.exec(f.code)?.[0]}`);
      expect(broken).toEqual([]);
    });
  }

  test("files have kebab-case names", () => {
    expect(files.filter((f) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.test|\.bench)?\.ts$/.test(f.path)).map((f) => f.path)).toEqual([]);
    expect(files.filter((f) => /(manager|util|utils|helper|helpers|misc|common)\.ts$/.test(f.path)).map((f) => f.path)).toEqual(
      [],
    );
  });

  test("nothing is exported as default", () => {
    expect(files.filter((f) => /\bexport\s+default\b/.test(f.code)).map((f) => f.path)).toEqual([]);
  });

  test("every file begins by saying what it owns", () => {
    expect(product.filter((f) => !/^(#![^\n]*\n)?(\/\*\*|\/\/)/.test(f.text)).map((f) => f.path)).toEqual([]);
  });

  test("nothing reads what is beside the checkout", () => {
    const everywhere = ["src", "test", "scripts"].flatMap((folder) =>
      (readdirSync(join(root, folder), { recursive: true }) as string[])
        .filter((path) => /\.(ts|mjs|sh|java|go|py)$/.test(path) && !path.includes("node_modules"))
        .map((path) => join(folder, path)),
    );
    const outsidePath = /\.\.\/shared\/|(^|[^\w.])\/work\//;
    expect(
      everywhere.filter((path) => !path.endsWith("house.test.ts") && outsidePath.test(readFileSync(join(root, path), "utf8"))),
    ).toEqual([]);
  });
});
