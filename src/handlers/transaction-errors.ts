/** How the errors of transactions are told to clients of older versions, and to those who asked for something else. */
import { ErrorCode, type ErrorName } from "../protocol/errors.ts";

/** Clients did not know PRODUCER_FENCED in the beginning (KIP-588). */
export const fencedAs = (errorCode: number, knowsFenced: boolean): number =>
  errorCode === ErrorCode.PRODUCER_FENCED && !knowsFenced ? ErrorCode.INVALID_PRODUCER_EPOCH : errorCode;

/** What an operation that needs a transaction says of what the coordinator said. Source: AddPartitionsToTxnManager. */
export function admissionError(error: ErrorName, knowsAbortable: boolean): ErrorName {
  if (error === "PRODUCER_FENCED") return "INVALID_PRODUCER_EPOCH";
  return error === "TRANSACTION_ABORTABLE" && !knowsAbortable ? "INVALID_TXN_STATE" : error;
}
