/**
 * Is the simulation any good? Each patch in bugs/ breaks src/ on purpose, in one way; the simulation must find it. Its first line says
 * what is broken. A patch that does not apply any more fails here: bring it up to date with the code that it breaks.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dir, "../..");
const patches = join(import.meta.dir, "bugs");
const trees = join(root, ".cache/bugs", `${process.pid}`);
const SEEDS = 1000;
const TIMEOUT_MS = 300_000;

afterAll(() => rmSync(trees, { recursive: true, force: true }));

/** A copy of what the simulation needs. */
function copyTree(name: string): string {
  const tree = join(trees, name);
  mkdirSync(join(tree, "test"), { recursive: true });
  cpSync(join(root, "src"), join(tree, "src"), { recursive: true });
  cpSync(join(root, "test/sim"), join(tree, "test/sim"), { recursive: true });
  for (const file of ["package.json", "tsconfig.json"]) cpSync(join(root, file), join(tree, file));
  symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
  return tree;
}

function applyPatch(tree: string, patch: string): void {
  const git = Bun.spawnSync(["git", "apply", "--whitespace=nowarn", patch], {
    cwd: tree,
    env: { ...process.env, GIT_CEILING_DIRECTORIES: trees },
  });
  if (git.exitCode !== 0) throw new Error(`${patch} does not apply to src/ any more:\n${git.stderr.toString()}`);
}

interface Found {
  readonly seed: number;
  readonly check: string;
  readonly message: string;
}

/** Patches of these beginnings are for simulations of their own: the files in which each seed is a test. */
const OF_THEIR_OWN: Readonly<Record<string, string>> = {
  "transactions-": "transactions.test.ts",
  "cleanup-": "cleanup.test.ts",
  "journal-": "journal.test.ts",
};
const SEEDS_OF_THEIR_OWN = 120;

async function findIn(file: string, tree: string): Promise<Found | null> {
  const child = Bun.spawn([process.execPath, "test", `./test/sim/${file}`, "-t", "seed", "--bail", "--timeout", "20000"], {
    cwd: tree,
    env: { ...process.env, SIM_SEEDS: `${SEEDS_OF_THEIR_OWN}`, SIM_FIRST_SEED: "1" },
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const [out, said] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  const failed = /^\(fail\) .* seed (\d+)/m.exec(`${out}\n${said}`);
  const message = /^error: .*/m.exec(`${out}\n${said}`)?.[0] ?? "";
  return failed === null ? null : { seed: Number(failed[1]), check: file, message };
}

async function find(tree: string, bug: string): Promise<Found | null> {
  const own = Object.keys(OF_THEIR_OWN).find((beginning) => bug.startsWith(beginning));
  if (own !== undefined) return await findIn(OF_THEIR_OWN[own]!, tree);
  const child = Bun.spawn([process.execPath, "test/sim/find-violation.ts", "1", `${SEEDS}`], {
    cwd: tree,
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const [out, errors] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  if (child.exitCode !== 0)
    throw new Error(`the simulation itself ended with ${child.exitCode ?? child.signalCode}:\n${errors.slice(-2000)}`);
  return JSON.parse(out) as Found | null;
}

describe(`deliberate bugs are found within ${SEEDS} seeds`, () => {
  const names = readdirSync(patches).filter((name) => name.endsWith(".patch"));

  test("there are ten at least, and each says what it breaks", () => {
    expect(names.length).toBeGreaterThanOrEqual(10);
    for (const name of names) expect(readFileSync(join(patches, name), "utf8"), name).toMatch(/^Broken: .+\n/);
  });

  for (const name of names) {
    const bug = name.replace(/\.patch$/, "");
    test(
      bug,
      async () => {
        const tree = copyTree(bug);
        applyPatch(tree, join(patches, name));
        const found = await find(tree, bug);
        rmSync(tree, { recursive: true, force: true });
        console.log(`   ${bug}: ${found === null ? "not found" : `seed ${found.seed}, ${found.check}`}`);
        expect(found, bug).not.toBeNull();
      },
      TIMEOUT_MS,
    );
  }
});
