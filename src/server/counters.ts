/** What the server has done since it started, as plain numbers: the hot path adds, metrics will read. */

/** Kafka's keys end below 100. */
const KEYS = 128;

export class Counters {
  connectionsAccepted = 0;
  connectionsRefused = 0;
  connectionsClosed = 0;
  /** Of those closed: not in order. */
  connectionsBroken = 0;
  bytesIn = 0;
  bytesOut = 0;
  /** Requests that were begun, by API key. */
  readonly requests = new Float64Array(KEYS);
  /** Answered with a bare error: key or version not served. */
  requestsNotServed = 0;
  /** Connections closed for what they sent. */
  malformed = 0;
}
