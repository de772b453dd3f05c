// The common half of the JavaScript drivers: the command loop of test/support/driver.ts (see test/README.md, "Drivers").
// A driver hands over an object with one async function per operation.

import { createInterface } from "node:readline";

/** base64 (or null) of a buffer. */
export const text = (bytes) => (bytes === null || bytes === undefined ? null : Buffer.from(bytes).toString("base64"));

/** The buffer (or null) of a base64 text. */
export const bytes = (base64) => (base64 === null || base64 === undefined ? null : Buffer.from(base64, "base64"));

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Reads commands from stdin, one JSON object a line, and answers each with one line on stdout. */
export function serve(operations) {
  const answer = (id, more) => process.stdout.write(`${JSON.stringify({ id, ...more })}\n`);
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("line", (line) => {
    const command = JSON.parse(line);
    const deadline = command.timeoutMs ?? 30_000;
    const late = sleep(deadline).then(() => {
      throw new Error(`${command.op} took more than ${deadline} ms`);
    });
    const work = Promise.resolve().then(() => {
      const operation = operations[command.op];
      if (!operation) throw new Error(`unknown op ${command.op}`);
      return operation(command);
    });
    Promise.race([work, late]).then(
      (result) => answer(command.id, { result: result ?? null }),
      (error) => answer(command.id, { result: null, error: describe(error) }),
    );
  });
  lines.on("close", () => process.exit(0));
}

function describe(error) {
  const inner = [error.cause, ...(error.errors ?? [])].filter(Boolean).map(describe);
  return [error.message, ...inner].join(" <- ");
}

/**
 * The continuous load: numbered records, `perRound` to each partition at a time, one round after another.
 * send(messages [{partition, value}]) resolves to a map from partition to the base offset of what it sent there.
 */
export class Stream {
  constructor(partitions, send) {
    this.partitions = partitions;
    this.send = send;
    this.acked = [];
    this.failed = [];
    this.sent = 0;
    this.stopped = false;
    this.done = this.run();
  }

  async run() {
    const perRound = 5;
    for (let n = 0; !this.stopped; n += perRound) {
      const messages = [];
      for (let p = 0; p < this.partitions; p++)
        for (let i = 0; i < perRound; i++) messages.push({ partition: p, value: Buffer.from(`${p}:${n + i}`) });
      this.sent += messages.length;
      try {
        const bases = await this.send(messages);
        for (let p = 0; p < this.partitions; p++)
          for (let i = 0; i < perRound; i++) this.acked.push([p, n + i, Number(bases.get(p)) + i]);
      } catch (error) {
        this.failed.push(describe(error));
      }
      await sleep(perRound * this.partitions);
    }
  }

  status() {
    return { sent: this.sent, acked: this.acked.length, failed: this.failed.length };
  }

  async stop() {
    this.stopped = true;
    await this.done;
    return { sent: this.sent, acked: this.acked, failed: this.failed };
  }
}
