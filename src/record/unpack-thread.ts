/** The unpacker of a running broker: the loop itself for what is quickly done, or should threads not run; else a thread (`unpack-worker.ts`). */
import { Thread } from "../io/thread.ts";
import { KafkaError } from "../protocol/errors.ts";
import {
  loopBudgetBytes,
  type Unpacked,
  type Unpacker,
  type UnpackJob,
  unpackBatch,
  unpackerClosed,
  unpackWithin,
} from "./unpack-batch.ts";
import type { UnpackAnswer, UnpackQuestion } from "./unpack-worker.ts";

export class UnpackThread implements Unpacker {
  private readonly thread = new Thread<UnpackQuestion, UnpackAnswer>("record/unpack-worker.ts");
  private last: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  /** In the thread one at a time, so that no more than one job's bytes are there twice. */
  unpack(job: UnpackJob): Unpacked | Promise<Unpacked> {
    const budgetBytes = loopBudgetBytes(job);
    const atOnce = budgetBytes > 0 ? unpackWithin(job, budgetBytes) : null;
    if (atOnce !== null) return atOnce;
    const done = this.last.then(() => this.run(job));
    this.last = done.catch(() => {});
    return done;
  }

  close(): void {
    this.isClosed = true;
    this.thread.close();
  }

  private async run(job: UnpackJob): Promise<Unpacked> {
    if (this.isClosed) throw unpackerClosed();
    const bytes = new Uint8Array(job.bytes); // the batch may be a small part of what was received
    let answer: UnpackAnswer;
    try {
      answer = await this.thread.ask({ ...job, bytes }, [bytes.buffer]);
    } catch {
      if (this.isClosed) throw unpackerClosed();
      return unpackBatch(job); // slow is better than not at all
    }
    const { skimmed, records } = answer;
    return {
      ...answer,
      skimmed: "error" in skimmed ? new KafkaError(skimmed.error, skimmed.message) : skimmed,
      records: records === null ? null : Buffer.from(records.buffer, records.byteOffset, records.length),
    };
  }
}
