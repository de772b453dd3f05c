/*
 * A real client at its defaults, with as little around it as possible: librdkafka, one instance (and so one connection to the broker)
 * per thread.
 *
 *   librdkafka produce PORT TOPIC INSTANCES RECORD_BYTES RECORDS ACKS [NAME=VALUE…]
 *   librdkafka consume PORT TOPIC INSTANCES PARTITIONS RECORDS [NAME=VALUE…]
 *
 * RECORDS is for all instances together. Prints one line of JSON; the time runs from the first record to the last acknowledgement
 * (or delivery).
 */

#define _GNU_SOURCE
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *topic;
static char bootstrap[64];
static int instances, record_bytes, partitions, option_count;
static long records;
static const char *acks = "all";
static char **options;
static atomic_long done, failed, done_bytes;

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
  char why[512];
  if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
    fprintf(stderr, "%s\n", why);
    exit(1);
  }
}

static rd_kafka_conf_t *configuration(void) {
  rd_kafka_conf_t *conf = rd_kafka_conf_new();
  set(conf, "bootstrap.servers", bootstrap);
  for (int i = 0; i < option_count; i++) {
    char *name = strdup(options[i]), *value = strchr(name, '=');
    if (!value) exit(2);
    *value++ = 0;
    set(conf, name, value);
    free(name);
  }
  return conf;
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf) {
  char why[512];
  rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
  if (!rk) {
    fprintf(stderr, "%s\n", why);
    exit(1);
  }
  return rk;
}

static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque) {
  (void)rk;
  (void)opaque;
  if (m->err) atomic_fetch_add(&failed, 1);
  else atomic_fetch_add(&done, 1);
}

static void *produce(void *unused) {
  (void)unused;
  rd_kafka_conf_t *conf = configuration();
  set(conf, "acks", acks);
  rd_kafka_conf_set_dr_msg_cb(conf, delivered);
  rd_kafka_t *rk = client(RD_KAFKA_PRODUCER, conf);
  rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, topic, NULL);
  char *value = malloc((size_t)record_bytes);
  for (int i = 0; i < record_bytes; i++) value[i] = (char)rand();
  for (long i = 0; i < records / instances; i++) {
    while (rd_kafka_produce(rkt, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, (size_t)record_bytes, NULL, 0, NULL) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) exit(1);
      rd_kafka_poll(rk, 100);
    }
    if (i % 1000 == 0) rd_kafka_poll(rk, 0);
  }
  rd_kafka_flush(rk, 60000);
  rd_kafka_topic_destroy(rkt);
  rd_kafka_destroy(rk);
  return NULL;
}

static void *consume(void *index) {
  rd_kafka_conf_t *conf = configuration();
  set(conf, "group.id", "bench");
  set(conf, "enable.auto.commit", "false");
  rd_kafka_t *rk = client(RD_KAFKA_CONSUMER, conf);
  rd_kafka_poll_set_consumer(rk);
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
  for (int p = (int)(long)index; p < partitions; p += instances)
    rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
  rd_kafka_assign(rk, list);
  rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
  static _Thread_local rd_kafka_message_t *messages[1000];
  double patience = now_s() + 60;
  while (atomic_load(&done) < records && now_s() < patience) {
    ssize_t n = rd_kafka_consume_batch_queue(queue, 100, messages, 1000);
    long count = 0, bytes = 0;
    for (ssize_t i = 0; i < n; i++) {
      if (!messages[i]->err) {
        count++;
        bytes += (long)messages[i]->len;
      }
      rd_kafka_message_destroy(messages[i]);
    }
    atomic_fetch_add(&done_bytes, bytes);
    atomic_fetch_add(&done, count);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_consumer_close(rk);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_destroy(rk);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc < 7) return 2;
  int produces = strcmp(argv[1], "produce") == 0;
  snprintf(bootstrap, sizeof bootstrap, "127.0.0.1:%s", argv[2]);
  topic = argv[3];
  instances = atoi(argv[4]);
  records = atol(argv[6]);
  int from = 7;
  if (produces) {
    record_bytes = atoi(argv[5]);
    if (argc < 8) return 2;
    acks = argv[from++];
  } else partitions = atoi(argv[5]);
  options = argv + from;
  option_count = argc - from;
  pthread_t threads[64];
  if (instances < 1 || instances > 64) return 2;
  double start = now_s();
  for (long i = 0; i < instances; i++) pthread_create(&threads[i], NULL, produces ? produce : consume, (void *)i);
  for (int i = 0; i < instances; i++) pthread_join(threads[i], NULL);
  double seconds = now_s() - start;
  long bytes = produces ? done * record_bytes : done_bytes;
  printf("{\"seconds\":%.4f,\"records\":%ld,\"bytes\":%ld,\"failed\":%ld}\n", seconds, (long)done, bytes, (long)failed);
  return failed > 0 || done < records / instances * instances;
}
