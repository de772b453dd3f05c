/** For tests: the topics of a cluster that come, grow and go as a test says. */
import type { SeenTopic, TopicsView } from "./topics-view.ts";

export class TopicsRig implements TopicsView {
  version = 0;
  newTopicsVersion = 0;
  private readonly byName = new Map<string, SeenTopic>();
  private made = 0;

  /** Creates topics, or gives them more partitions: `set({ t: 3 })`. */
  set(partitions: Record<string, number>): this {
    this.version++;
    for (const [name, partitionCount] of Object.entries(partitions)) {
      const known = this.byName.get(name);
      if (known === undefined) this.newTopicsVersion = this.version;
      const id = known?.id ?? Buffer.alloc(16, ++this.made).toString("base64url");
      this.byName.set(name, { name, id, partitionCount });
    }
    return this;
  }

  delete(name: string): this {
    this.version++;
    this.byName.delete(name);
    return this;
  }

  topicByName(name: string): SeenTopic | undefined {
    return this.byName.get(name);
  }

  topicById(id: string): SeenTopic | undefined {
    return [...this.byName.values()].find((topic) => topic.id === id);
  }

  names(): Iterable<string> {
    return this.byName.keys();
  }

  racksOf(): readonly string[] {
    return [];
  }

  /** "t" of a topic that is there, else its id. */
  nameOf(id: string): string {
    return this.topicById(id)?.name ?? id;
  }
}
