/** What the broker's loop and the thread that cleans logs tell each other. One job at a time. */
import { DiskError } from "../io/disk.ts";
import type { CleanedGroup, CleanJob, CleanStats } from "./clean-job.ts";
import { CleaningStopped } from "./clean-log.ts";
import { CorruptLog } from "./index-recovery.ts";

export type ToCleaner =
  /** `stop[0]` is set when nobody wants the result any more. */
  | { readonly kind: "job"; readonly job: CleanJob; readonly stop: Int32Array<SharedArrayBuffer> }
  /** The answer to "group": it has its place, or (null: no error) why not. */
  | { readonly kind: "swapped"; readonly error: PlainError | null };

export type FromCleaner =
  | { readonly kind: "group"; readonly group: CleanedGroup }
  | { readonly kind: "done"; readonly stats: CleanStats }
  | { readonly kind: "failed"; readonly error: PlainError };

/** An error on its way between threads. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly disk: { readonly operation: string; readonly path: string; readonly code: string } | null;
}

export function plainError(error: unknown): PlainError {
  const { name, message } = error instanceof Error ? error : { name: "Error", message: String(error) };
  const disk = error instanceof DiskError ? { operation: error.operation, path: error.path, code: error.code } : null;
  return { name, message, disk };
}

/** The error as it was, as far as anybody tells errors apart. */
export function revivedError({ name, message, disk }: PlainError): Error {
  if (disk !== null) return new DiskError(disk.operation, disk.path, disk.code);
  if (name === "CleaningStopped") return new CleaningStopped(message);
  if (name === "CorruptLog") return new CorruptLog(message);
  return new Error(message);
}
