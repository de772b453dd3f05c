/** Where the clients of a simulation meet the broker: requests go out through it, and are known until they are answered or the broker dies. */
import type { AnyApi, RequestInput, Response } from "../../../src/protocol/schema.ts";
import type { BrokerWorld } from "../broker-world.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { History } from "./history.ts";
import type { TopicsModel } from "./topics-model.ts";
import { TransactionsModel } from "./transactions-model.ts";

/** A client: does one thing when it is its turn, and never waits. */
export interface Actor {
  readonly name: string;
  step(): void;
}

interface OpenRequest {
  readonly what: string;
  lost(): void;
}

export class Arena {
  readonly world: BrokerWorld;
  readonly history: History;
  readonly topics: TopicsModel;
  readonly transactions: TransactionsModel;
  /** Of clients; the disk has its own, so that a client that does less does not change what the disk does. */
  readonly random: SeededRandom;
  /** Writes fail or have failed in this life of the broker, or it is stopping: then it may refuse what it is asked. */
  mayRefuse = false;
  /** Fetch sessions of this life that clients forgot without a word: the broker keeps them for a while. */
  abandonedSessions = 0;
  private readonly open = new Set<OpenRequest>();

  constructor(world: BrokerWorld, history: History, topics: TopicsModel, random: SeededRandom) {
    this.world = world;
    this.history = history;
    this.topics = topics;
    this.transactions = new TransactionsModel(history);
    this.random = random;
  }

  /** Requests without an answer. */
  get unanswered(): string[] {
    return [...this.open].map(({ what }) => what);
  }

  /** `heard` gets the answer; null: there will be none, and the client cannot know what came of it. */
  send<A extends AnyApi>(
    who: string,
    api: A,
    version: number,
    request: RequestInput<A>,
    heard: (response: Response<A> | null) => void,
  ): void {
    const what = `${who} ${api.name}`;
    const entry = { what, lost: () => heard(null) };
    this.open.add(entry);
    this.history.note(`> ${what}`);
    const asked = this.world.send(api, version, request);
    asked.ended.then(() => {
      if (!this.open.delete(entry)) return; // the broker that it went to is dead
      this.history.note(
        `< ${what}${asked.silent ? ", silent" : ""}${asked.dropped === null ? "" : `, dropped: ${asked.dropped}`}`,
      );
      heard(asked.response);
    });
  }

  /** The broker is gone, and all connections with it. */
  hangUp(): void {
    const lost = [...this.open];
    this.open.clear();
    for (const entry of lost) entry.lost();
  }

  /** An error code that a client was given: what is not `expected` needs a fault. */
  checkCode(who: string, code: number, expected: readonly number[]): void {
    const isFine = code === 0 || expected.includes(code) || this.mayRefuse;
    this.history.check("no error without a cause", isFine, () => `${who} got error ${code}`);
  }
}
