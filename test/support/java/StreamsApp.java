// A Kafka Streams application that counts words: instances start and stop as test/e2e/streams-rebalance.test.ts says. Reads one command a line,
// "start NAME", "state NAME" or "close NAME", and answers each with one line.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

public final class StreamsApp {
  /** Words are the values of "words"; the key of "counts" is the word. Between them lie a repartition topic and a changelog. */
  private static Topology topology() {
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream("words", Consumed.with(Serdes.String(), Serdes.String()))
        .map((key, word) -> KeyValue.pair(word, word))
        .groupByKey(Grouped.with("by-word", Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("count")).withCachingDisabled())
        .toStream()
        .mapValues(String::valueOf)
        .to("counts", Produced.with(Serdes.String(), Serdes.String()));
    return builder.build();
  }

  private static KafkaStreams start(String bootstrap, String stateDir, String name) {
    Properties c = new Properties();
    c.put("bootstrap.servers", bootstrap);
    c.put("application.id", "word-count");
    c.put("client.id", name);
    c.put("state.dir", stateDir + "/" + name);
    c.put("commit.interval.ms", 200);
    c.put("replication.factor", 1);
    c.put("default.dsl.store", "in_memory");
    c.put("session.timeout.ms", 6000);
    c.put("heartbeat.interval.ms", 500);
    c.put("auto.offset.reset", "earliest");
    KafkaStreams streams = new KafkaStreams(topology(), c);
    streams.start();
    return streams;
  }

  private static String state(KafkaStreams streams) {
    int tasks = streams.metadataForLocalThreads().stream().mapToInt(thread -> thread.activeTasks().size()).sum();
    return streams.state() + " " + tasks;
  }

  public static void main(String[] args) throws Exception {
    PrintStream answers = System.out;
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    Map<String, KafkaStreams> instances = new HashMap<>();
    for (String line; (line = commands.readLine()) != null; ) {
      String[] words = line.split(" ");
      if (words[0].equals("start")) instances.put(words[1], start(args[0], args[1], words[1]));
      KafkaStreams streams = instances.get(words[1]);
      if (words[0].equals("close")) streams.close(Duration.ofSeconds(20));
      answers.println(state(streams));
    }
    System.exit(0);
  }
}
