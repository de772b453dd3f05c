// The Java driver: carries out the commands of test/support/driver.ts (see test/README.md, "Drivers") with Apache Kafka's own client.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Driver {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static String bootstrap;
  private static Admin admin;
  private static final Map<String, KafkaProducer<byte[], byte[]>> PRODUCERS = new HashMap<>();
  private static Member member;
  private static Stream stream;

  private static Map<String, Object> config(Object... more) {
    Map<String, Object> c = new HashMap<>();
    c.put("bootstrap.servers", bootstrap);
    c.put("reconnect.backoff.max.ms", 500);
    c.put("retry.backoff.ms", 50);
    for (int i = 0; i < more.length; i += 2) c.put((String) more[i], more[i + 1]);
    return c;
  }

  private static byte[] bytes(JsonNode n) {
    return n.isNull() ? null : Base64.getDecoder().decode(n.asText());
  }

  private static String text(byte[] b) {
    return b == null ? null : Base64.getEncoder().encodeToString(b);
  }

  private static Admin admin() {
    if (admin == null) admin = Admin.create(config());
    return admin;
  }

  private static JsonNode createTopic(JsonNode q) throws Exception {
    Map<String, String> configs = new HashMap<>();
    q.path("configs").properties().forEach(e -> configs.put(e.getKey(), e.getValue().asText()));
    NewTopic topic = new NewTopic(q.get("topic").asText(), q.get("partitions").asInt(), (short) 1).configs(configs);
    admin().createTopics(List.of(topic)).all().get(20, TimeUnit.SECONDS);
    return null;
  }

  private static KafkaProducer<byte[], byte[]> producer(String codec) {
    return PRODUCERS.computeIfAbsent(codec, c -> new KafkaProducer<>(
        config("compression.type", c, "max.request.size", 8 << 20, "batch.size", 64 << 10, "linger.ms", 5),
        new ByteArraySerializer(), new ByteArraySerializer()));
  }

  private static final Map<String, KafkaProducer<byte[], byte[]>> TRANSACTIONAL = new HashMap<>();

  private static JsonNode transact(JsonNode q) throws Exception {
    String id = q.get("transactionalId").asText();
    String topic = q.get("topic").asText();
    String instance = id + " " + q.get("instance").asInt();
    KafkaProducer<byte[], byte[]> p = TRANSACTIONAL.get(instance);
    if (p == null) {
      p = new KafkaProducer<>(config("transactional.id", id, "transaction.timeout.ms", 10_000),
          new ByteArraySerializer(), new ByteArraySerializer());
      p.initTransactions();
      TRANSACTIONAL.put(instance, p);
    }
    p.beginTransaction();
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode v : q.get("values"))
      sent.add(p.send(new ProducerRecord<>(topic, v.get(0).asInt(), null, v.get(1).asText().getBytes())));
    p.flush();
    for (Future<RecordMetadata> f : sent) f.get();
    JsonNode offsets = q.get("offsets");
    if (!offsets.isNull())
      p.sendOffsetsToTransaction(
          Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(offsets.get("offset").asLong())),
          new ConsumerGroupMetadata(offsets.get("group").asText()));
    switch (q.get("ends").asText()) {
      case "commit": p.commitTransaction(); break;
      case "abort": p.abortTransaction(); break;
    }
    return null;
  }

  /** Copies a topic to another, record by record to the same partition, with its offsets in the same transactions. Never ends. */
  private static void copy(String group, String from, String to) {
    while (true) {
      try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(
              config("group.id", group, "isolation.level", "read_committed", "auto.offset.reset", "earliest",
                  "enable.auto.commit", false, "max.poll.records", 50, "fetch.max.wait.ms", 50, "session.timeout.ms", 6000,
                  "default.api.timeout.ms", 5000),
              new ByteArrayDeserializer(), new ByteArrayDeserializer());
          KafkaProducer<byte[], byte[]> p = new KafkaProducer<>(
              config("transactional.id", "copy to " + to, "transaction.timeout.ms", 5000, "max.block.ms", 5000,
                  "delivery.timeout.ms", 5000, "request.timeout.ms", 2000),
              new ByteArraySerializer(), new ByteArraySerializer())) {
        p.initTransactions();
        c.subscribe(List.of(from));
        while (true) {
          var records = c.poll(Duration.ofMillis(50));
          if (records.isEmpty()) continue;
          p.beginTransaction();
          Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
          for (ConsumerRecord<byte[], byte[]> r : records) {
            p.send(new ProducerRecord<>(to, r.partition(), r.key(), r.value()));
            next.put(new TopicPartition(from, r.partition()), new OffsetAndMetadata(r.offset() + 1));
          }
          p.sendOffsetsToTransaction(next, c.groupMetadata());
          p.commitTransaction();
        }
      } catch (RuntimeException e) {
        // Whatever it was: it begins again behind what was committed.
      }
    }
  }

  private static JsonNode committed(JsonNode q) {
    ObjectNode out = JSON.createObjectNode();
    ArrayNode records = out.putArray("records");
    List<TopicPartition> all = new ArrayList<>();
    for (int i = 0; i < q.get("partitions").asInt(); i++) all.add(new TopicPartition(q.get("topic").asText(), i));
    try (KafkaConsumer<byte[], byte[]> c = new KafkaConsumer<>(
        config("isolation.level", "read_committed", "fetch.max.wait.ms", 100),
        new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      c.assign(all);
      c.seekToBeginning(all);
      long deadline = System.currentTimeMillis() + q.get("timeoutMs").asLong();
      long quiet = System.currentTimeMillis() + 1000;
      while (System.currentTimeMillis() < deadline
          && (records.size() < q.get("count").asInt() || System.currentTimeMillis() < quiet)) {
        for (ConsumerRecord<byte[], byte[]> r : c.poll(Duration.ofMillis(100))) {
          addRecord(records, r);
          quiet = System.currentTimeMillis() + 1000;
        }
      }
    }
    return out;
  }

  private static JsonNode produce(JsonNode q) throws Exception {
    KafkaProducer<byte[], byte[]> p = producer(q.get("codec").asText());
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    for (JsonNode r : q.get("records")) {
      List<Header> headers = new ArrayList<>();
      for (JsonNode h : r.get("headers")) headers.add(new RecordHeader(h.get(0).asText(), bytes(h.get(1))));
      sent.add(p.send(new ProducerRecord<>(
          q.get("topic").asText(),
          r.get("partition").isNull() ? null : r.get("partition").asInt(),
          r.get("timestampMs").isNull() ? null : r.get("timestampMs").asLong(),
          bytes(r.get("key")), bytes(r.get("value")), headers)));
    }
    p.flush();
    ObjectNode out = JSON.createObjectNode();
    ArrayNode placed = out.putArray("placed");
    for (Future<RecordMetadata> f : sent) {
      RecordMetadata m = f.get();
      placed.addObject().put("partition", m.partition()).put("offset", m.offset());
    }
    return out;
  }

  private static void addRecord(ArrayNode to, ConsumerRecord<byte[], byte[]> m) {
    ObjectNode r = to.addObject()
        .put("partition", m.partition()).put("offset", m.offset()).put("timestampMs", m.timestamp())
        .put("key", text(m.key())).put("value", text(m.value()));
    ArrayNode headers = r.putArray("headers");
    for (Header h : m.headers()) headers.addArray().add(h.key()).add(text(h.value()));
  }

  private static KafkaConsumer<byte[], byte[]> consumer(Object... more) {
    Map<String, Object> c = config("enable.auto.commit", false, "auto.offset.reset", "none", "fetch.max.wait.ms", 100);
    for (int i = 0; i < more.length; i += 2) c.put((String) more[i], more[i + 1]);
    return new KafkaConsumer<>(c, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static JsonNode read(JsonNode q) {
    String topic = q.get("topic").asText();
    Map<Integer, Long> left = new HashMap<>();
    Map<TopicPartition, Long> from = new HashMap<>();
    q.get("from").properties().forEach(e -> {
      long end = q.get("to").get(e.getKey()).asLong();
      int p = Integer.parseInt(e.getKey());
      if (end > e.getValue().asLong()) {
        left.put(p, end);
        from.put(new TopicPartition(topic, p), e.getValue().asLong());
      }
    });
    ObjectNode out = JSON.createObjectNode();
    ArrayNode records = out.putArray("records");
    try (KafkaConsumer<byte[], byte[]> c = consumer()) {
      c.assign(from.keySet());
      from.forEach(c::seek);
      long deadline = System.currentTimeMillis() + q.path("timeoutMs").asLong(30_000);
      while (!left.isEmpty()) {
        if (System.currentTimeMillis() > deadline) throw new IllegalStateException("still wanted: " + left);
        for (ConsumerRecord<byte[], byte[]> m : c.poll(Duration.ofMillis(100))) {
          Long end = left.get(m.partition());
          if (end == null) continue;
          if (m.offset() < end) addRecord(records, m);
          if (m.offset() >= end - 1) left.remove(m.partition());
        }
      }
    }
    return out;
  }

  private static JsonNode offsets(JsonNode q) throws Exception {
    String topic = q.get("topic").asText();
    JsonNode at = q.get("at");
    OffsetSpec spec = at.isNumber() ? OffsetSpec.forTimestamp(at.asLong())
        : at.asText().equals("earliest") ? OffsetSpec.earliest() : OffsetSpec.latest();
    Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
    int partitions = admin().describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
    for (int p = 0; p < partitions; p++) ask.put(new TopicPartition(topic, p), spec);
    ObjectNode out = JSON.createObjectNode();
    ObjectNode offsets = out.putObject("offsets");
    admin().listOffsets(ask).all().get().forEach((tp, o) -> offsets.put(String.valueOf(tp.partition()), o.offset()));
    return out;
  }

  /** This process's one group member: polls in a thread of its own, the only one that touches the consumer. */
  private static final class Member implements Runnable, ConsumerRebalanceListener {
    final KafkaConsumer<byte[], byte[]> consumer;
    final Set<Integer> owned = new TreeSet<>();
    final ArrayNode records = JSON.createArrayNode();
    final Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
    final List<CompletableFuture<Void>> commits = new ArrayList<>();
    final Thread thread = new Thread(this);
    String fault = "";
    volatile boolean running = true;

    Member(JsonNode q) {
      List<Object> settings = new ArrayList<>(List.of("group.id", q.get("group").asText(), "auto.offset.reset", "earliest"));
      // By the consumer protocol the broker says the times.
      if (q.get("protocol").asText().equals("consumer")) settings.addAll(List.of("group.protocol", "consumer"));
      else settings.addAll(List.of("session.timeout.ms", q.get("sessionTimeoutMs").asInt(), "heartbeat.interval.ms", 500));
      if (q.path("roundRobin").asBoolean())
        settings.addAll(List.of("partition.assignment.strategy", "org.apache.kafka.clients.consumer.RoundRobinAssignor"));
      consumer = consumer(settings.toArray());
      consumer.subscribe(List.of(q.get("topic").asText()), this);
      thread.start();
    }

    @Override public synchronized void onPartitionsAssigned(Collection<TopicPartition> list) {
      list.forEach(tp -> owned.add(tp.partition()));
    }

    @Override public synchronized void onPartitionsRevoked(Collection<TopicPartition> list) {
      list.forEach(tp -> {
        owned.remove(tp.partition());
        next.remove(tp);
      });
    }

    @Override public void run() {
      while (running) {
        try {
          for (ConsumerRecord<byte[], byte[]> m : consumer.poll(Duration.ofMillis(50))) {
            synchronized (this) {
              addRecord(records, m);
              next.put(new TopicPartition(m.topic(), m.partition()), new OffsetAndMetadata(m.offset() + 1));
            }
          }
          commitWhenAsked();
        } catch (RuntimeException e) {
          synchronized (this) {
            fault = e.toString();
          }
        }
      }
      consumer.close();
    }

    private void commitWhenAsked() {
      CompletableFuture<Void> asked;
      Map<TopicPartition, OffsetAndMetadata> positions;
      synchronized (this) {
        if (commits.isEmpty()) return;
        asked = commits.remove(0);
        positions = Map.copyOf(next);
      }
      try {
        consumer.commitSync(positions);
        asked.complete(null);
      } catch (RuntimeException e) {
        asked.completeExceptionally(e);
      }
    }

    void commit() throws Exception {
      CompletableFuture<Void> done = new CompletableFuture<>();
      synchronized (this) {
        commits.add(done);
      }
      done.get(20, TimeUnit.SECONDS);
    }

    synchronized JsonNode state() {
      ObjectNode out = JSON.createObjectNode();
      ArrayNode partitions = out.putArray("partitions");
      owned.forEach(partitions::add);
      out.set("records", records.deepCopy());
      out.put("fault", fault);
      return out;
    }

    void leave() throws Exception {
      running = false;
      thread.join();
    }
  }

  /** The continuous load: idempotent, acks=all, numbered per partition, about 1,000 records a second. */
  private static final class Stream implements Runnable {
    final KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
        config("enable.idempotence", true, "acks", "all", "linger.ms", 1, "delivery.timeout.ms", 60_000),
        new ByteArraySerializer(), new ByteArraySerializer());
    final String topic;
    final int partitions;
    final List<long[]> acked = new ArrayList<>();
    final List<String> failed = new ArrayList<>();
    long sent;
    volatile boolean running = true;
    final Thread thread = new Thread(this);

    Stream(JsonNode q) {
      topic = q.get("topic").asText();
      partitions = q.get("partitions").asInt();
      thread.start();
    }

    @Override public void run() {
      for (long n = 0; running; n++) {
        for (int p = 0; p < partitions; p++) {
          long number = n;
          int partition = p;
          synchronized (this) {
            sent++;
          }
          byte[] value = (p + ":" + n).getBytes(StandardCharsets.UTF_8);
          producer.send(new ProducerRecord<>(topic, p, null, value), (m, e) -> {
            synchronized (this) {
              if (e == null) acked.add(new long[] {partition, number, m.offset()});
              else failed.add(e.toString());
            }
          });
        }
        try {
          Thread.sleep(partitions);
        } catch (InterruptedException e) {
          return;
        }
      }
    }

    synchronized JsonNode status() {
      return JSON.createObjectNode().put("sent", sent).put("acked", acked.size()).put("failed", failed.size());
    }

    JsonNode stop() throws Exception {
      running = false;
      thread.join();
      producer.flush();
      producer.close();
      return JSON.createObjectNode().put("sent", sent).<ObjectNode>set("acked", JSON.valueToTree(acked)).set("failed", JSON.valueToTree(failed));
    }
  }

  private static JsonNode execute(JsonNode q) throws Exception {
    switch (q.get("op").asText()) {
      case "createTopic": return createTopic(q);
      case "produce": return produce(q);
      case "transact": return transact(q);
      case "copy": {
        Thread copier = new Thread(() -> copy(q.get("group").asText(), q.get("from").asText(), q.get("to").asText()));
        copier.setDaemon(true);
        copier.start();
        return null;
      }
      case "committed": return committed(q);
      case "read": return read(q);
      case "offsets": return offsets(q);
      case "join": member = new Member(q); return null;
      case "member": return member.state();
      case "commit": member.commit(); return null;
      case "leave": member.leave(); return null;
      case "streamStart": stream = new Stream(q); return null;
      case "streamStatus": return stream.status();
      case "streamStop": return stream.stop();
      default: throw new IllegalArgumentException("unknown op " + q.get("op"));
    }
  }

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 16);
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line; (line = in.readLine()) != null; ) {
      JsonNode q = JSON.readTree(line);
      ObjectNode reply = JSON.createObjectNode().put("id", q.get("id").asInt());
      try {
        reply.set("result", execute(q));
      } catch (Exception e) {
        Throwable cause = e instanceof ExecutionException && e.getCause() != null ? e.getCause() : e;
        reply.putNull("result").put("error", cause.toString());
      }
      out.println(JSON.writeValueAsString(reply));
      out.flush();
    }
    System.exit(0);
  }
}
