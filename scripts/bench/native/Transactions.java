// One transactional producer of Kafka's own client at its defaults: each transaction writes one record to each of some partitions and
// commits. Prints how many there were, in how many seconds, and how long they and their commits took.
//   java -cp … Transactions.java PORT TOPIC PARTITIONS WARMUP_MS DURATION_MS

import java.util.Arrays;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Transactions {
  public static void main(String[] args) {
    String topic = args[1];
    int partitions = Integer.parseInt(args[2]);
    long warmupNs = Long.parseLong(args[3]) * 1_000_000;
    long durationNs = Long.parseLong(args[4]) * 1_000_000;
    byte[] value = new byte[100];
    long[] whole = new long[1_000_000];
    long[] commits = new long[1_000_000];
    int count = 0;
    Map<String, Object> config = Map.of("bootstrap.servers", "127.0.0.1:" + args[0], "transactional.id", "bench-" + topic);
    try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
      producer.initTransactions();
      long begunNs = System.nanoTime();
      long countsFromNs = begunNs + warmupNs;
      long endsNs = countsFromNs + durationNs;
      long beginNs = begunNs;
      while (beginNs < endsNs && count < whole.length) {
        producer.beginTransaction();
        for (int i = 0; i < partitions; i++) producer.send(new ProducerRecord<>(topic, i, null, value));
        producer.flush();
        long commitNs = System.nanoTime();
        producer.commitTransaction();
        long endNs = System.nanoTime();
        if (beginNs >= countsFromNs) {
          whole[count] = endNs - beginNs;
          commits[count++] = endNs - commitNs;
        }
        beginNs = endNs;
      }
      double seconds = (beginNs - countsFromNs) / 1e9;
      System.out.printf(
          "{\"transactions\":%d,\"seconds\":%f,\"p50Ms\":%f,\"p99Ms\":%f,\"commitP50Ms\":%f,\"commitP99Ms\":%f}%n",
          count, seconds, at(whole, count, 0.5), at(whole, count, 0.99), at(commits, count, 0.5), at(commits, count, 0.99));
    }
  }

  private static double at(long[] times, int count, double share) {
    long[] sorted = Arrays.copyOf(times, count);
    Arrays.sort(sorted);
    return count == 0 ? -1 : sorted[(int) Math.min(count - 1, Math.floor(count * share))] / 1e6;
  }
}
