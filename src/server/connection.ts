/**
 * One client: its frames in, its answers out, in order. Requests run one at a time, as in Kafka, but for those whose handler is
 * `pipelined`: they may begin while earlier ones of that kind are unanswered. It reads only while it may hold more.
 */
import type { LogFields } from "../base/logger.ts";
import type { Socket, SocketOwner } from "../io/net.ts";
import { MalformedError } from "../protocol/errors.ts";
import type { CallImpl, CallOwner } from "./call.ts";
import type { Counters } from "./counters.ts";
import type { Dispatch } from "./dispatch.ts";
import { FrameSplitter } from "./frame-splitter.ts";
import type { LimitedLines } from "./limited-lines.ts";
import type { ByteCount, Frame } from "./received.ts";
import type { MemoryHolder, RequestMemory } from "./request-memory.ts";
import { SendQueue, type SendQueueOwner } from "./send-queue.ts";

export interface ConnectionLimits {
  readonly maxRequestBytes: number;
  /** Requests that wait for their answer, begun or not. */
  readonly maxQueued: number;
  /** For the rest of a request of which a part has come. */
  readonly requestTimeoutMs: number;
  readonly maxIdleMs: number;
}

/** What a connection needs of the server that it belongs to. */
export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly dispatch: Dispatch;
  readonly memory: RequestMemory;
  readonly counters: Counters;
  readonly lines: LimitedLines;
  nowMs(): number;
  /** Calls `settle` at the end of what runs now. */
  settleSoon(connection: Connection): void;
  /** Calls `continue` after other sockets had their turn. */
  continueLater(connection: Connection): void;
  /** Calls `expire` by then. */
  expireBy(atMs: number): void;
  onStarted(call: CallImpl): void;
  onEnded(call: CallImpl): void;
  onClosed(connection: Connection): void;
  onFatal(error: unknown): void;
}

/** With more than this unwritten no further request begins and nothing is read: the client has to read first. */
const MAX_UNWRITTEN_BYTES = 64 * 1024;
/** So many requests of one connection begin before others get their turn. */
const STARTS_PER_TURN = 64;
/** How long a connection that ends may take to read its last answers. */
const ENDING_MS = 5000;

export class Connection implements CallOwner, MemoryHolder, SendQueueOwner, SocketOwner {
  readonly id: number;
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly localPort: number;
  readonly client: string;
  closed = false;
  clientSoftwareName = "";
  clientSoftwareVersion = "";
  heldBytes = 0;
  /** Set by the host: `settleSoon` was asked for and did not happen yet. */
  isSettlingSoon = false;

  private readonly socket: Socket;
  private readonly host: ConnectionHost;
  private readonly received: ByteCount = { bytes: 0 };
  private readonly splitter: FrameSplitter;
  private readonly sending: SendQueue;
  /** Begun and not answered, or answered behind one that is not; in the order of their requests. */
  private calls: CallImpl[] = [];
  private overlapping = false;
  /** Whole requests that may not begin yet. */
  private readonly queue: Frame[] = [];
  /** Answers that wait for an earlier one. */
  private readyBytes = 0;
  private callBytes = 0;
  private startsLeft = STARTS_PER_TURN;
  private isLater = false;
  private isReading = true;
  private isWaitingForMemory = false;
  /** It is not read because earlier requests or answers come first, which is no fault of the client. */
  private isHeldUp = false;
  private isSettling = false;
  /** No further request is looked at, and the connection closes once what was begun is answered and sent. */
  private isEnding = false;
  private endsByMs = Number.POSITIVE_INFINITY;
  /** When something last came in or went out. */
  private activeAtMs: number;
  private unfinishedSerial = 0;
  private unfinishedSinceMs = Number.POSITIVE_INFINITY;

  constructor(id: number, socket: Socket, host: ConnectionHost) {
    this.id = id;
    this.socket = socket;
    this.host = host;
    this.remoteAddress = socket.remoteAddress;
    this.localAddress = socket.localAddress;
    this.localPort = socket.localPort;
    this.client = `${socket.remoteAddress}:${socket.remotePort}`;
    this.splitter = new FrameSplitter(host.limits.maxRequestBytes, this.received);
    this.sending = new SendQueue(socket, this);
    this.activeAtMs = host.nowMs();
    host.expireBy(this.activeAtMs + host.limits.maxIdleMs);
  }

  // --- from the network

  onData(bytes: Buffer): void {
    this.host.counters.bytesIn += bytes.byteLength;
    if (this.isEnding || this.closed) return;
    this.startsLeft = STARTS_PER_TURN;
    this.splitter.push(bytes);
    this.activeAtMs = this.host.nowMs();
    this.settle(this.activeAtMs);
  }

  onDrain(): void {
    if (this.sending.bytes === 0) return;
    this.sending.unblock();
    this.startsLeft = STARTS_PER_TURN;
    this.settle(this.host.nowMs());
  }

  onClose(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    if (error !== null) this.host.counters.connectionsBroken++;
    this.dropInput();
    this.sending.clear();
    this.readyBytes = 0;
    const { calls } = this;
    this.calls = [];
    this.account();
    this.host.memory.leave(this);
    this.host.onClosed(this);
    for (const call of calls) {
      call.discardAnswer();
      call.abandon();
    }
  }

  // --- from the files that answers lie in

  onRead(): void {
    this.activeAtMs = this.host.nowMs();
    this.settle(this.activeAtMs);
  }

  onUnreadable(reason: string): void {
    this.host.lines.warn("connection closed: an answer cannot be read", { client: this.client, reason });
    this.abort(null);
  }

  // --- from calls

  onEnded(call: CallImpl): void {
    this.host.onEnded(call);
    if (this.isEnding && !this.calls.includes(call)) call.discardAnswer(); // an earlier one closed the connection
    this.readyBytes += call.answerBytes;
    this.settleSoon();
  }

  onReleased(bytes: number): void {
    this.callBytes -= bytes;
    this.settleSoon();
  }

  // --- from the host

  /** Brings everything up to date: answers out, requests begun, memory accounted, reading or not. */
  settle(nowMs: number): void {
    if (this.closed) return this.account();
    if (this.isSettling) return;
    this.isSettling = true;
    try {
      do {
        this.collectAnswers(nowMs);
        this.send(nowMs);
      } while (this.startRequests(nowMs));
    } catch (error) {
      this.host.onFatal(error);
    } finally {
      this.isSettling = false;
    }
    if (this.isEnding && this.calls.length === 0 && this.sending.bytes === 0) return this.socket.close();
    this.account();
    if (this.closed) return; // to make room
    this.watchUnfinished();
    this.updateReading(nowMs);
  }

  /** Other sockets had their turn: more requests may begin. */
  continue(nowMs: number): void {
    this.isLater = false;
    this.startsLeft = STARTS_PER_TURN;
    this.settle(nowMs);
  }

  onRoom(): void {
    this.isWaitingForMemory = false;
    this.updateReading(this.host.nowMs());
  }

  /** Closes the connection if its time is over; else says when to ask again, in monotonic milliseconds. */
  expire(nowMs: number): number {
    const { requestTimeoutMs, maxIdleMs } = this.host.limits;
    const unfinishedDueMs = this.isHeldUp ? Number.POSITIVE_INFINITY : this.unfinishedSinceMs + requestTimeoutMs;
    // Kafka counts from the last byte even if an answer is due; but a long poll that outlives the limit is no idle client.
    const idleDueMs = (this.calls.length > 0 ? nowMs : this.activeAtMs) + maxIdleMs;
    const dueMs = Math.min(this.endsByMs, unfinishedDueMs, idleDueMs);
    if (nowMs < dueMs) return dueMs;
    if (dueMs === unfinishedDueMs) this.abort("connection closed: the rest of a request did not come in time");
    else this.abort(dueMs === idleDueMs ? "connection closed: idle" : null);
    return Number.POSITIVE_INFINITY;
  }

  /** Takes no further request; closes when those that have begun are answered and sent, or at `byMs`. */
  end(byMs: number): void {
    if (this.isEnding || this.closed) return;
    this.isEnding = true;
    this.endsByMs = byMs;
    this.host.expireBy(byMs);
    this.dropInput();
    this.unfinishedSinceMs = Number.POSITIVE_INFINITY;
    if (!this.isSettling) this.settle(this.host.nowMs());
  }

  /** Nobody will answer what has begun: closes once what is answered is sent. */
  giveUpCalls(): void {
    const first = this.calls.findIndex(({ outcome }) => outcome === "pending");
    if (first >= 0) for (const call of this.calls.splice(first)) call.discardAnswer();
    this.settle(this.host.nowMs());
  }

  /** Closes at once, with a line in the log if a reason is given. */
  abort(reason: string | null): void {
    if (reason !== null) this.host.lines.info(reason, { client: this.client, heldBytes: this.heldBytes });
    if (!this.closed) this.socket.abort();
  }

  /** Bytes that closing it would free: not those of requests that handlers work on. */
  get closableBytes(): number {
    const queued = this.queue.reduce((sum, frame) => sum + frame.bytes, 0);
    const input = this.calls.length === 0 ? this.received.bytes : queued + this.splitter.unfinishedBytes;
    return input + this.sending.heldBytes + this.readyBytes;
  }

  /** Since when it holds closable bytes while the client neither sends the rest nor reads; Infinity if that is not so. */
  get stalledSinceMs(): number {
    const waitsForClient = this.sending.bytes > 0 || (this.isReading && this.splitter.isUnfinished);
    return waitsForClient ? this.activeAtMs : Number.POSITIVE_INFINITY;
  }

  /** Since when nothing came in or went out. */
  get quietSinceMs(): number {
    return this.activeAtMs;
  }

  get missingBytes(): number {
    return this.splitter.missingBytes;
  }

  // --- inside

  private settleSoon(): void {
    if (!this.isSettling) this.host.settleSoon(this);
  }

  /** Moves answers to the socket's queue, as far as they are next in order. */
  private collectAnswers(nowMs: number): void {
    while (this.calls.length > 0 && this.calls[0]!.outcome !== "pending") {
      const call = this.calls.shift()!;
      this.activeAtMs = nowMs;
      if (call.outcome === "dropped") {
        for (const later of this.calls.splice(0)) later.discardAnswer();
        this.readyBytes = 0;
        return this.refuse("connection closed", { reason: call.reason, ...call.describe() });
      }
      if (call.pieces === null) continue;
      this.readyBytes -= call.answerBytes;
      this.sending.push(call.pieces);
      call.pieces = null;
    }
  }

  private send(nowMs: number): void {
    const sent = this.sending.flush();
    if (sent === 0) return;
    if (this.sending.mayFlush) this.goOnLater();
    this.host.counters.bytesOut += sent;
    this.activeAtMs = nowMs;
  }

  /** Begins what may begin; false when that was nothing. */
  private startRequests(nowMs: number): boolean {
    let started = false;
    try {
      for (;;) {
        if (this.isEnding || this.closed) return started;
        const frame = this.queue.shift() ?? this.splitter.next();
        if (frame === null) return started;
        if (!this.mayStart(frame)) {
          this.queue.unshift(frame);
          break;
        }
        this.start(frame, nowMs);
        started = true;
      }
      this.fillQueue();
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.host.counters.malformed++;
      this.refuse("connection closed: malformed request", { reason: error.message, client: this.client });
    }
    return started;
  }

  private fillQueue(): void {
    while (this.queue.length + this.calls.length < this.host.limits.maxQueued) {
      const frame = this.splitter.next();
      if (frame === null) return;
      this.queue.push(frame);
    }
  }

  private mayStart(frame: Frame): boolean {
    if (this.sending.bytes > MAX_UNWRITTEN_BYTES) return false;
    if (this.calls.length > 0) {
      if (!this.overlapping || this.calls.length >= this.host.limits.maxQueued) return false;
      if (!this.host.dispatch.mayOverlap(frame)) return false;
    }
    if (this.startsLeft > 0) return true;
    this.goOnLater();
    return false;
  }

  private goOnLater(): void {
    if (!this.isLater) this.host.continueLater(this);
    this.isLater = true;
  }

  private start(frame: Frame, nowMs: number): void {
    this.startsLeft--;
    const dispatched = this.host.dispatch.dispatch(this, frame, nowMs);
    if (dispatched.kind === "answer") return this.sending.push(dispatched.pieces);
    if (dispatched.kind === "drop") return this.refuse("connection closed", { reason: dispatched.reason, client: this.client });
    const { call } = dispatched;
    this.overlapping = dispatched.pipelined;
    this.callBytes += call.heldBytes;
    this.calls.push(call);
    this.host.onStarted(call);
    call.start();
    this.collectAnswers(nowMs);
  }

  /** Says in the log why, and closes once what was asked before is answered. */
  private refuse(message: string, about: LogFields): void {
    this.host.lines.warn(message, about);
    this.end(this.host.nowMs() + ENDING_MS);
  }

  private dropInput(): void {
    for (const frame of this.queue) frame.received.release();
    this.queue.length = 0;
    this.splitter.clear();
  }

  private account(): void {
    const held = this.received.bytes + this.callBytes + this.readyBytes + this.sending.heldBytes;
    if (held !== this.heldBytes) this.host.memory.account(this, held);
  }

  /** Keeps the time since when an unfinished request has been coming. */
  private watchUnfinished(): void {
    if (!this.splitter.isUnfinished) {
      if (this.unfinishedSinceMs === Number.POSITIVE_INFINITY) return;
      this.unfinishedSinceMs = Number.POSITIVE_INFINITY;
      this.host.memory.endTurn(this);
    } else if (this.unfinishedSerial !== this.splitter.unfinishedSerial) {
      this.unfinishedSerial = this.splitter.unfinishedSerial;
      this.unfinishedSinceMs = this.activeAtMs;
      this.host.memory.endTurn(this);
      this.host.expireBy(this.activeAtMs + this.host.limits.requestTimeoutMs);
    }
  }

  private updateReading(nowMs: number): void {
    if (this.closed) return;
    const { memory, limits } = this.host;
    const wants =
      !this.isEnding && this.sending.bytes <= MAX_UNWRITTEN_BYTES && this.queue.length + this.calls.length < limits.maxQueued;
    if (!wants) memory.endTurn(this);
    this.holdUp(!wants, nowMs);
    const reads = wants && memory.mayRead(this);
    this.waitForMemory(wants && !reads);
    if (reads === this.isReading) return;
    this.isReading = reads;
    if (reads) this.socket.resume();
    else this.socket.pause();
  }

  /** Time that the client cannot use does not count against it; time without memory does, or all of it could be held for ever. */
  private holdUp(isHeldUp: boolean, nowMs: number): void {
    const isOver = this.isHeldUp && !isHeldUp;
    this.isHeldUp = isHeldUp;
    if (!isOver || !this.splitter.isUnfinished) return;
    this.unfinishedSinceMs = nowMs;
    this.host.expireBy(nowMs + this.host.limits.requestTimeoutMs);
  }

  private waitForMemory(waits: boolean): void {
    if (waits === this.isWaitingForMemory) return;
    this.isWaitingForMemory = waits;
    if (waits) this.host.memory.wait(this);
    else this.host.memory.leave(this);
  }
}
