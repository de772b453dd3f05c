/** The metadata image as groups see it. Source: KRaftCoordinatorMetadataImage. */
import type { SeenTopic, TopicsView } from "../group/consumer/topics-view.ts";
import type { MetadataImage, TopicImage } from "../metadata/image.ts";

type SeenImage = Pick<MetadataImage, "rev" | "topicByName" | "topicById" | "topics" | "broker" | "onTopicCreated">;

export class SeenTopics implements TopicsView {
  newTopicsVersion = 0;
  private readonly image: SeenImage;
  private readonly seen = new WeakMap<TopicImage, SeenTopic>();

  /** Registers with the image, so it must exist before the image begins to follow the store. */
  constructor(image: SeenImage) {
    this.image = image;
    image.onTopicCreated(() => {
      this.newTopicsVersion = this.version + 1; // the topic is in the image with its next revision
    });
  }

  /** Moves with whatever is written into the metadata: more often than topics change. */
  get version(): number {
    return Number(this.image.rev);
  }

  topicByName(name: string): SeenTopic | undefined {
    return this.see(this.image.topicByName(name));
  }

  topicById(id: string): SeenTopic | undefined {
    return this.see(this.image.topicById(id));
  }

  *names(): Iterable<string> {
    for (const { name } of this.image.topics()) yield name;
  }

  racksOf({ id }: SeenTopic, partition: number): readonly string[] {
    const replicas = this.image.topicById(id)?.partitions[partition]?.replicas ?? [];
    return replicas.flatMap((nodeId) => this.image.broker(nodeId)?.rack ?? []);
  }

  /** A topic that has not changed stays the same object. */
  private see(topic: TopicImage | undefined): SeenTopic | undefined {
    if (topic === undefined) return undefined;
    const seen = this.seen.get(topic) ?? { name: topic.name, id: topic.id, partitionCount: topic.partitions.length };
    this.seen.set(topic, seen);
    return seen;
  }
}
