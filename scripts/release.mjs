// `npm run release [-- TARGET...]`: dist/release/quarkmq-VERSION-TARGET.tar.gz for each target, and SHA256SUMS. Plain Node 20.
// The same sources give the same archives: times come from the commit (or SOURCE_DATE_EPOCH), owners and order are fixed.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { compile } from "./build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/**
 * Name of the archive → Bun's target. x64 is the baseline runtime: the other one needs AVX2, which many virtual machines hide.
 * Bytecode only where the program can be tried on the machine that makes it; elsewhere the start takes some 20 ms longer.
 */
const targets = {
  "linux-x64": { target: "bun-linux-x64-baseline", bytecode: true },
  "linux-x64-musl": { target: "bun-linux-x64-musl-baseline", bytecode: false },
  "linux-arm64": { target: "bun-linux-arm64", bytecode: false },
  "darwin-arm64": { target: "bun-darwin-arm64", bytecode: false },
  "darwin-x64": { target: "bun-darwin-x64-baseline", bytecode: false },
};

/** What lies in each archive beside the program. */
const companions = ["README.md", "LICENSE", "CHANGELOG.md", "config/quarkmq.toml", "config/quarkmq.service"];

function sourceSeconds() {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], { cwd: root, encoding: "utf8" });
  return status === 0 ? Number(stdout.trim()) : 0;
}

/** One member of a ustar archive: a header of 512 bytes, the bytes, and zeros up to a multiple of 512. */
function member({ name, bytes, mode, seconds }) {
  const header = Buffer.alloc(512);
  const octal = (value, at, width) => header.write(`${value.toString(8).padStart(width - 1, "0")}\0`, at);
  if (Buffer.byteLength(name) > 100) throw new Error(`${name} is too long for a tar header`);
  header.write(name, 0);
  octal(mode, 100, 8);
  octal(0, 108, 8); // uid
  octal(0, 116, 8); // gid
  octal(bytes.length, 124, 12);
  octal(seconds, 136, 12);
  header.write("        ", 148); // the checksum counts itself as blanks
  header.write("0", 156); // a regular file
  header.write("ustar\x0000", 257); // magic and version
  header.write("root", 265);
  header.write("root", 297);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

function archive(program, folder, seconds) {
  const files = [
    { name: `${folder}/quarkmq`, bytes: readFileSync(program), mode: 0o755, seconds },
    ...companions.map((path) => ({ name: `${folder}/${path}`, bytes: readFileSync(join(root, path)), mode: 0o644, seconds })),
  ];
  return gzipSync(Buffer.concat([...files.map(member), Buffer.alloc(1024)]), { level: 9 });
}

function release(names) {
  const out = join(root, "dist/release");
  const scratch = mkdtempSync(join(tmpdir(), "quarkmq-release-"));
  const seconds = sourceSeconds();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const sums = [];
  try {
    for (const name of names) {
      const folder = `quarkmq-${version}-${name}`;
      const program = join(scratch, "quarkmq");
      compile({ outfile: program, ...targets[name], quiet: true });
      const bytes = archive(program, folder, seconds);
      writeFileSync(join(out, `${folder}.tar.gz`), bytes);
      sums.push(`${createHash("sha256").update(bytes).digest("hex")}  ${folder}.tar.gz\n`);
      console.error(`built dist/release/${folder}.tar.gz, ${(bytes.length / 1e6).toFixed(0)} MB`);
    }
    writeFileSync(join(out, "SHA256SUMS"), sums.join(""));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(targets, name));
if (unknown.length > 0) {
  console.error(`release: unknown target ${unknown.join(", ")}; there are ${Object.keys(targets).join(", ")}`);
  process.exit(1);
}
try {
  release(asked.length > 0 ? asked : Object.keys(targets));
} catch (error) {
  console.error(`release: ${error.message}`);
  process.exit(1);
}
