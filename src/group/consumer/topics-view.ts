/** The topics of the cluster as a group sees them: an input of the machine, as its clocks are. Source: CoordinatorMetadataImage. */

export interface SeenTopic {
  readonly name: string;
  readonly id: string;
  readonly partitionCount: number;
}

export interface TopicsView {
  /** Grows with every topic that comes, changes or goes. */
  readonly version: number;
  /** The version at which a topic came last. */
  readonly newTopicsVersion: number;
  topicByName(name: string): SeenTopic | undefined;
  topicById(id: string): SeenTopic | undefined;
  names(): Iterable<string>;
  /** The racks that hold a partition, as far as brokers tell theirs. */
  racksOf(topic: SeenTopic, partition: number): readonly string[];
}
