/**
 * All connections of a server: who is let in, what they do at the end of a turn, when their time is over, and who has to go when
 * memory is short.
 */
import type { Logger } from "../base/logger.ts";
import type { ServerConfig } from "../config/server-options.ts";
import type { Clock } from "../io/clock.ts";
import type { Deadline, Deadlines } from "../io/deadlines.ts";
import type { Net, Socket, SocketOwner } from "../io/net.ts";
import type { CallImpl } from "./call.ts";
import { Connection, type ConnectionHost, type ConnectionLimits } from "./connection.ts";
import type { Counters } from "./counters.ts";
import type { Dispatch } from "./dispatch.ts";
import { LimitedLines } from "./limited-lines.ts";
import type { RequestMemory } from "./request-memory.ts";

export interface ConnectionsOptions {
  readonly config: ServerConfig;
  /** How many the process can have at all, whatever `config.maxConnections` says. */
  readonly affordableConnections: number;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly net: Net;
  readonly memory: RequestMemory;
  readonly counters: Counters;
  readonly dispatch: Dispatch;
  onFatal(error: unknown): void;
}

/** While memory is short, whoever holds some and has done nothing for this long is closed. */
const STALLED_MS = 5000;
const SCARCE_SWEEP_MS = 1000;
/** Time limits may be this late, so that one pass serves many. */
const SWEEP_SLACK_MS = 50;
const SLOW_REQUEST_MS = 1000;
/** Fetch, JoinGroup, SyncGroup: their answers wait for something to happen. */
const WAITING_APIS = new Set([1, 11, 14]);
const waitsForEvents = (call: CallImpl): boolean => WAITING_APIS.has(call.api.key);

export class Connections implements ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly dispatch: Dispatch;
  readonly memory: RequestMemory;
  readonly counters: Counters;
  readonly lines: LimitedLines;
  readonly onFatal: (error: unknown) => void;

  private readonly o: ConnectionsOptions;
  private readonly open = new Set<Connection>();
  private readonly openByAddress = new Map<string, number>();
  private lastId = 0;
  private isClosing = false;
  private whenEmpty: (() => void) | null = null;
  /** Calls that have begun and not ended, but for those that wait for something to happen. */
  private working = 0;
  private whenQuiet: (() => void) | null = null;
  private settling: Connection[] = [];
  private readonly settleAll: () => void;
  private sweep: Deadline | null = null;

  constructor(o: ConnectionsOptions) {
    this.o = o;
    this.dispatch = o.dispatch;
    this.memory = o.memory;
    this.counters = o.counters;
    this.onFatal = o.onFatal;
    this.lines = new LimitedLines(o.logger, o.clock);
    this.limits = {
      maxRequestBytes: o.config.socketRequestMaxBytes,
      maxQueued: o.config.queuedRequestsPerConnection,
      requestTimeoutMs: o.config.requestTimeoutMs,
      maxIdleMs: o.config.connectionsMaxIdleMs,
    };
    this.settleAll = () => this.settleThose();
    this.memory.onExceeded = () => this.relieve();
    this.memory.onScarce = () => this.expireBy(this.nowMs() + SCARCE_SWEEP_MS);
  }

  get count(): number {
    return this.open.size;
  }

  /** A new socket: its connection, or null when it is one too many. */
  accept(socket: Socket): SocketOwner | null {
    const refusal = this.refusal(socket.remoteAddress);
    if (refusal !== null) {
      this.counters.connectionsRefused++;
      this.lines.warn("connection refused", { reason: refusal, client: `${socket.remoteAddress}:${socket.remotePort}` });
      return null;
    }
    const connection = new Connection(++this.lastId, socket, this);
    this.o.logger.debug("connection opened", { client: connection.client, to: `${socket.localAddress}:${socket.localPort}` });
    this.counters.connectionsAccepted++;
    this.open.add(connection);
    this.openByAddress.set(connection.remoteAddress, this.openFrom(connection.remoteAddress) + 1);
    return connection;
  }

  /** Takes no further request on any connection; each closes once what it had begun is answered and sent. */
  endAll(withinMs: number): void {
    this.isClosing = true;
    const byMs = this.nowMs() + withinMs;
    for (const connection of [...this.open]) connection.end(byMs);
  }

  /** Closes what is still open at once. */
  abortAll(): void {
    for (const connection of [...this.open]) connection.abort(null);
    this.sweep?.cancel();
    this.memory.close();
  }

  /** Resolves once no connection is open, or after `withinMs`. For the end: calls that are not answered by now never will be. */
  async drained(withinMs: number): Promise<void> {
    await new Promise<void>((resolve) => this.o.net.nextTurn(resolve)); // answers that are on their way to us
    for (const connection of [...this.open]) connection.giveUpCalls();
    if (this.open.size === 0) return;
    await new Promise<void>((resolve) => {
      this.whenEmpty = resolve;
      this.o.clock.schedule(withinMs, resolve);
    });
  }

  /** Resolves when no call is worked on, those of long polls aside, or after `withinMs`. */
  quiet(withinMs: number): Promise<void> {
    if (this.working === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.whenQuiet = resolve;
      this.o.clock.schedule(withinMs, resolve);
    });
  }

  // --- for connections

  nowMs(): number {
    return this.o.clock.monotonicMs();
  }

  settleSoon(connection: Connection): void {
    if (connection.isSettlingSoon) return;
    connection.isSettlingSoon = true;
    if (this.settling.push(connection) === 1) queueMicrotask(this.settleAll);
  }

  continueLater(connection: Connection): void {
    this.o.net.nextTurn(() => connection.continue(this.nowMs()));
  }

  expireBy(atMs: number): void {
    if (this.sweep !== null && this.sweep.atMs <= atMs + SWEEP_SLACK_MS) return;
    this.sweep?.cancel();
    this.sweep = this.o.deadlines.in(Math.max(0, atMs - this.nowMs()) + SWEEP_SLACK_MS, () => this.sweepNow());
  }

  onStarted(call: CallImpl): void {
    if (!waitsForEvents(call)) this.working++;
  }

  onEnded(call: CallImpl): void {
    if (waitsForEvents(call)) return;
    if (--this.working === 0) this.whenQuiet?.();
    if (this.o.logger.level !== "debug") return;
    const tookMs = Math.round(this.nowMs() - call.startedAtMs);
    if (tookMs >= SLOW_REQUEST_MS) this.o.logger.debug("slow request", { tookMs, ...call.describe() });
  }

  onClosed(connection: Connection): void {
    this.counters.connectionsClosed++;
    this.o.logger.debug("connection closed", { client: connection.client, software: connection.clientSoftwareName });
    this.open.delete(connection);
    const left = this.openFrom(connection.remoteAddress) - 1;
    if (left === 0) this.openByAddress.delete(connection.remoteAddress);
    else this.openByAddress.set(connection.remoteAddress, left);
    if (this.open.size === 0) this.whenEmpty?.();
  }

  // --- inside

  private openFrom(address: string): number {
    return this.openByAddress.get(address) ?? 0;
  }

  private refusal(address: string): string | null {
    if (this.isClosing) return "the broker stops";
    const { config, affordableConnections } = this.o;
    if (this.open.size >= Math.min(config.maxConnections, affordableConnections))
      return `${this.open.size} connections are open already`;
    const open = this.openFrom(address);
    return open >= config.maxConnectionsPerIp ? `${open} connections from this address are open already` : null;
  }

  private settleThose(): void {
    const nowMs = this.nowMs();
    const those = this.settling;
    this.settling = [];
    for (const connection of those) {
      connection.isSettlingSoon = false;
      connection.settle(nowMs);
    }
  }

  private sweepNow(): void {
    this.sweep = null;
    const nowMs = this.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const connection of this.open) nextMs = Math.min(nextMs, connection.expire(nowMs));
    if (this.memory.isScarce) {
      this.closeStalled(nowMs);
      nextMs = Math.min(nextMs, nowMs + SCARCE_SWEEP_MS);
    }
    if (nextMs !== Number.POSITIVE_INFINITY) this.expireBy(nextMs);
  }

  /** Closes those that hold memory and neither send nor read, the largest first, until it is not short any more. */
  private closeStalled(nowMs: number): void {
    const stalled = [...this.open]
      .filter((connection) => nowMs - connection.stalledSinceMs >= STALLED_MS && connection.closableBytes > 0)
      .sort((a, b) => b.closableBytes - a.closableBytes);
    for (const connection of stalled) {
      if (!this.memory.isScarce) return;
      connection.abort("connection closed: memory is short, and the client neither reads nor sends the rest");
    }
  }

  /** Memory is exceeded: closes those that hold much and have been quiet long, until it is not. */
  private relieve(): void {
    const nowMs = this.nowMs();
    const weight = (connection: Connection): number => connection.closableBytes * (nowMs - connection.quietSinceMs + 1);
    const candidates = [...this.open]
      .filter((connection) => connection.closableBytes > 0 && !this.memory.hasTurn(connection))
      .map((connection) => ({ connection, weight: weight(connection) }))
      .sort((a, b) => b.weight - a.weight);
    for (const { connection } of candidates) {
      if (this.memory.exceededBytes === 0) return;
      connection.abort("connection closed: server.request_buffer_bytes is exceeded, and this client holds much of it");
    }
  }
}
