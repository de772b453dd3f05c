/*
 * The benchmark's own client: one thread, one epoll loop, frames made before they are needed, so that on a small machine the
 * broker is what is measured. It speaks Produce v7 and Fetch v11 (with fetch sessions) as Kafka's clients do at their defaults:
 * batches of 16 KiB, five requests in flight per connection, one fetch in flight per connection.
 *
 *   load --port N --topic T [--partitions 1] [--record-bytes 1024] [--batch-bytes 16384] [--batches-per-request 1]
 *        [--producers 1] [--consumers 0] [--idle 0] [--acks -1] [--in-flight 5] [--rate 0] [--again] [--text]
 *        [--warmup-ms 500] [--duration-ms 3000] [--max-bytes 0] [--pid 0]
 *
 * rate 0: as fast as the answers come. rate N: N records a second in all, by the clock; a record's latency counts from the moment it
 * was due, so a broker that falls behind shows it. Consumers start at the log's end with a rate or with producers, else at offset 0;
 * at the end they begin again with --again. The warm-up lasts until every partition was written to twice (files are made by the first
 * write). --text: values are words, each record's its own, which compress as text does; else all hold the same noise. --pid: the broker, whose CPU time within the window is reported.
 * Prints one line of JSON: what was acknowledged and received between warm-up and end. Bytes are those of whole batches.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire.h"

enum { MAX_IN_FLIGHT = 512, FETCH_BYTES = 8 << 20, FETCH_PARTITION_BYTES = 1 << 20 };

static struct {
  int port, partitions, record_bytes, batch_bytes, batches_per_request, producers, consumers, idle, acks, in_flight, again, text, pid;
  long rate, warmup_ms, duration_ms;
  int64_t max_bytes;
  const char *topic;
} o = {.partitions = 1, .record_bytes = 1024, .batch_bytes = 16384, .batches_per_request = 1, .producers = 1, .acks = -1,
       .in_flight = 5, .warmup_ms = 500, .duration_ms = 3000, .topic = "bench"};

/* ---- what is counted, between warm-up and end ---- */

typedef struct { uint32_t *us; size_t n, room; } Latencies;
static Latencies acknowledged, end_to_end;
static uint64_t batches_acknowledged; /* from the very start */
static uint64_t records_in, bytes_in, requests_in, records_out, bytes_out, requests_out;
static int64_t window_from, window_to;
static bool counting;

static void note(Latencies *l, int64_t ns) {
  if (l->n == l->room) {
    l->room = l->room ? l->room * 2 : 1 << 16;
    l->us = realloc(l->us, l->room * sizeof *l->us);
    if (!l->us) die("memory");
  }
  l->us[l->n++] = (uint32_t)(ns < 0 ? 0 : ns / 1000);
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static void print_latencies(const char *name, Latencies *l) {
  if (l->n == 0) return;
  qsort(l->us, l->n, sizeof *l->us, by_value);
#define AT(q) (l->us[(size_t)((double)(l->n - 1) * (q))] / 1000.0)
  printf(",\"%s\":{\"count\":%zu,\"p50Ms\":%.3f,\"p99Ms\":%.3f,\"p999Ms\":%.3f,\"maxMs\":%.3f}", name, l->n, AT(0.5), AT(0.99),
         AT(0.999), l->us[l->n - 1] / 1000.0);
#undef AT
}

typedef struct { double user, system; } Cpu;
static Cpu cpu_of(int pid) {
  Cpu cpu = {0, 0};
  if (pid == 0) return cpu;
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *f = fopen(path, "r");
  if (!f) die(path);
  size_t n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  unsigned long user, system;
  char *behind_name = strrchr(text, ')');
  if (!behind_name || sscanf(behind_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
    fprintf(stderr, "%s: not understood\n", path);
    exit(1);
  }
  double tick = (double)sysconf(_SC_CLK_TCK);
  cpu.user = (double)user / tick;
  cpu.system = (double)system / tick;
  return cpu;
}

/* ---- connections ---- */

typedef struct {
  int fd;
  bool consumes;
  uint32_t events;
  int *partitions, partition_count;
  /* what is being sent */
  uint8_t *out;
  size_t out_bytes, out_at, out_room;
  /* what is being received: one answer */
  uint8_t *in;
  size_t in_bytes, in_room;
  /* a producer */
  int in_flight, cursor, sent_head, sent_tail;
  int64_t sent_ns[MAX_IN_FLIGHT];
  uint32_t sent_records[MAX_IN_FLIGHT], sent_bytes[MAX_IN_FLIGHT];
  size_t *index_at;
  /* a consumer: one slot per partition of the topic */
  int64_t *offsets;
  bool *asked;
  int *changed, changed_count;
  int32_t session, epoch;
} Connection;

static int epoll_fd;
static uint32_t correlation;
static uint8_t *filler;
static int64_t next_due_ns, interval_ns; /* with a rate */

static int connect_to(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void watch(Connection *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event e = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll_fd, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e) < 0) die("epoll_ctl");
  c->events = events;
}

static void out_room(Connection *c, size_t bytes) {
  if (c->out_room >= bytes) return;
  c->out = realloc(c->out, c->out_room = bytes);
  if (!c->out) die("memory");
}

/* Sends on; true if all of it is out. */
static bool flush_out(Connection *c) {
  while (c->out_at < c->out_bytes) {
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_bytes - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN) die("send");
      watch(c, EPOLLIN | EPOLLOUT);
      return false;
    }
    c->out_at += (size_t)n;
  }
  watch(c, EPOLLIN);
  return true;
}

static void put_header(uint8_t **p, int key, int version) {
  put32(p, 0); /* size, set at the end */
  put16(p, (uint16_t)key);
  put16(p, (uint16_t)version);
  put32(p, ++correlation);
  put_string(p, "bench");
}

/* ---- producing ---- */

static uint32_t batch_records, batch_bytes;
static uint8_t *batch; /* the one that is sent again and again at full speed */

static uint32_t random_state = 12345;
static uint32_t next_random(void) { return (random_state = random_state * 1664525 + 1013904223) >> 8; }

/* Fills the filler with words and numbers, a few of them often. */
static void write_words(void) {
  for (int at = 0; at < o.record_bytes;) {
    char word[40];
    uint32_t r = next_random();
    int n = r % 3 ? snprintf(word, sizeof word, "word%u ", (r >> 4) % (r % 7 ? 60 : 5000)) : snprintf(word, sizeof word, "{\"field%u\":%u} ", (r >> 4) % 12, next_random() % 100000);
    for (int i = 0; i < n && at < o.record_bytes; i++) filler[at++] = (uint8_t)word[i];
  }
}

static void make_batch(void) {
  batch = malloc((size_t)o.batch_bytes + (size_t)o.record_bytes + 256);
  uint8_t *p = batch + BATCH_HEADER;
  do {
    if (o.text) write_words();
    put_record(&p, batch_records++, (uint32_t)o.record_bytes, filler);
  } while ((p - batch) + record_size(batch_records, (uint32_t)o.record_bytes) <= o.batch_bytes);
  batch_bytes = (uint32_t)(p - batch);
  seal_batch(batch, batch_bytes, batch_records);
}

static uint8_t *put_produce_head(Connection *c, int count) {
  uint8_t *p = c->out;
  put_header(&p, 0, 7);
  put16(&p, 0xffff); /* no transactional id */
  put16(&p, (uint16_t)o.acks);
  put32(&p, 30000);
  put32(&p, 1);
  put_string(&p, o.topic);
  put32(&p, (uint32_t)count);
  return p;
}

/* The frame of a connection: as many batches as it has partitions to put side by side. Only partition numbers change. */
static void make_frame(Connection *c) {
  int count = o.batches_per_request < c->partition_count ? o.batches_per_request : c->partition_count;
  out_room(c, 256 + strlen(o.topic) + (size_t)count * (batch_bytes + 8));
  c->index_at = malloc(sizeof(size_t) * (size_t)count);
  uint8_t *p = put_produce_head(c, count);
  for (int i = 0; i < count; i++) {
    c->index_at[i] = (size_t)(p - c->out);
    put32(&p, 0);
    put32(&p, batch_bytes);
    memcpy(p, batch, batch_bytes);
    p += batch_bytes;
  }
  c->out_at = c->out_bytes = (size_t)(p - c->out);
  set32(c->out, (uint32_t)c->out_bytes - 4);
}

static int next_partition(Connection *c) {
  int partition = c->partitions[c->cursor];
  c->cursor = (c->cursor + 1) % c->partition_count;
  return partition;
}

static void sent(Connection *c, uint32_t records, uint32_t bytes) {
  c->sent_ns[c->sent_head] = now_ns();
  c->sent_records[c->sent_head] = records;
  c->sent_bytes[c->sent_head] = bytes;
  c->sent_head = (c->sent_head + 1) % MAX_IN_FLIGHT;
  c->in_flight++;
}

static void produce_at_full_speed(Connection *c) {
  if (!flush_out(c)) return;
  int count = o.batches_per_request < c->partition_count ? o.batches_per_request : c->partition_count;
  while (c->in_flight < o.in_flight) {
    set32(c->out + 8, ++correlation);
    for (int i = 0; i < count; i++) set32(c->out + c->index_at[i], (uint32_t)next_partition(c));
    c->out_at = 0;
    sent(c, (uint32_t)count * batch_records, (uint32_t)count * batch_bytes);
    if (!flush_out(c)) return;
  }
}

/* All records that are due, in one batch; each carries the moment at which it was due. */
static void produce_what_is_due(Connection *c) {
  if (!flush_out(c)) return;
  int64_t now = now_ns();
  while (c->in_flight < o.in_flight && next_due_ns <= now) {
    out_room(c, 256 + strlen(o.topic) + (size_t)o.batch_bytes + (size_t)o.record_bytes);
    uint8_t *p = put_produce_head(c, 1);
    put32(&p, (uint32_t)next_partition(c));
    uint8_t *size_at = p;
    uint8_t *records = p + 4 + BATCH_HEADER;
    uint32_t count = 0;
    do {
      uint8_t *value = put_record(&records, count, (uint32_t)o.record_bytes, filler);
      memcpy(value, &next_due_ns, 8);
      next_due_ns += interval_ns;
      count++;
    } while (next_due_ns <= now && (records - p) + record_size(count, (uint32_t)o.record_bytes) <= o.batch_bytes);
    uint32_t bytes = (uint32_t)(records - p) - 4;
    set32(size_at, bytes);
    seal_batch(size_at + 4, bytes, count);
    c->out_bytes = (size_t)(records - c->out);
    c->out_at = 0;
    set32(c->out, (uint32_t)c->out_bytes - 4);
    sent(c, count, bytes);
    if (!flush_out(c)) return;
  }
}

static void produce_more(Connection *c) {
  if (o.rate > 0) produce_what_is_due(c);
  else produce_at_full_speed(c);
}

static void on_produced(Connection *c, const uint8_t *p) {
  for (uint32_t topics = get32(p += 4), t = 0; t < topics; t++) {
    if (t == 0) p += 4;
    p += 2 + get16(p);
    uint32_t count = get32(p);
    p += 4;
    batches_acknowledged += count;
    for (uint32_t i = 0; i < count; i++, p += 4 + 2 + 8 + 8 + 8) {
      int error = (int16_t)get16(p + 4);
      if (error != 0) {
        fprintf(stderr, "produce to partition %u: error %d\n", get32(p), error);
        exit(1);
      }
    }
  }
  int i = c->sent_tail;
  c->sent_tail = (i + 1) % MAX_IN_FLIGHT;
  c->in_flight--;
  if (counting) {
    records_in += c->sent_records[i];
    bytes_in += c->sent_bytes[i];
    requests_in++;
    note(&acknowledged, now_ns() - c->sent_ns[i]);
  }
  produce_more(c);
}

/* ---- consuming ---- */

static void fetch(Connection *c) {
  bool whole = c->session == 0; /* nothing is remembered of us: name all partitions */
  int count = whole ? c->partition_count : c->changed_count;
  out_room(c, 256 + strlen(o.topic) + (size_t)count * 28);
  uint8_t *p = c->out;
  put_header(&p, 1, 11);
  put32(&p, 0xffffffff);
  put32(&p, 500);
  put32(&p, 1);
  put32(&p, FETCH_BYTES);
  put8(&p, 0);
  put32(&p, (uint32_t)c->session);
  put32(&p, (uint32_t)c->epoch);
  put32(&p, count > 0 ? 1 : 0);
  if (count > 0) {
    put_string(&p, o.topic);
    put32(&p, (uint32_t)count);
    for (int i = 0; i < count; i++) {
      int partition = whole ? c->partitions[i] : c->changed[i];
      put32(&p, (uint32_t)partition);
      put32(&p, 0xffffffff);
      put64(&p, (uint64_t)c->offsets[partition]);
      put64(&p, (uint64_t)-1);
      put32(&p, FETCH_PARTITION_BYTES);
      c->asked[partition] = false;
    }
  }
  put32(&p, 0);
  put16(&p, 0);
  c->changed_count = 0;
  c->out_bytes = (size_t)(p - c->out);
  c->out_at = 0;
  set32(c->out, (uint32_t)c->out_bytes - 4);
  flush_out(c);
}

/* Notes latencies of a batch's records; the moment at which each was due stands at the head of its value. */
static void read_moments(const uint8_t *b, uint32_t count, int64_t now) {
  const uint8_t *p = b + BATCH_HEADER;
  for (uint32_t i = 0; i < count; i++) {
    int64_t bytes = get_varint(&p);
    const uint8_t *next = p + bytes;
    p += 1;
    get_varint(&p);
    get_varint(&p);
    get_varint(&p);
    get_varint(&p);
    int64_t due;
    memcpy(&due, p, 8);
    if (due >= window_from && due < window_to) note(&end_to_end, now - due);
    p = next;
  }
}

static int64_t read_batches(const uint8_t *b, size_t bytes, int64_t offset, int64_t now) {
  while (bytes >= BATCH_HEADER) {
    size_t size = get32(b + 8) + LOG_OVERHEAD;
    if (size > bytes) break; /* Kafka cuts the last one off */
    uint32_t count = get32(b + 57);
    offset = (int64_t)get64(b) + (int32_t)get32(b + 23) + 1;
    if (counting) {
      records_out += count;
      bytes_out += size;
    }
    if (o.rate > 0) read_moments(b, count, now);
    b += size;
    bytes -= size;
  }
  return offset;
}

static void on_fetched(Connection *c, const uint8_t *p) {
  int64_t now = now_ns();
  int error = (int16_t)get16(p + 8);
  if (error != 0) {
    fprintf(stderr, "fetch: error %d\n", error);
    exit(1);
  }
  int32_t session = (int32_t)get32(p + 10);
  c->epoch = session == 0 ? -1 : c->session == 0 ? 1 : c->epoch + 1;
  c->session = session;
  uint32_t topics = get32(p + 14);
  p += 18;
  for (uint32_t t = 0; t < topics; t++) {
    p += 2 + get16(p);
    uint32_t count = get32(p);
    p += 4;
    for (uint32_t i = 0; i < count; i++) {
      int partition = (int)get32(p);
      error = (int16_t)get16(p + 4);
      if (error != 0) {
        fprintf(stderr, "fetch of partition %d: error %d\n", partition, error);
        exit(1);
      }
      int64_t end = (int64_t)get64(p + 6);
      p += 4 + 2 + 8 + 8 + 8;
      int32_t aborted = (int32_t)get32(p);
      p += 4 + (aborted > 0 ? (size_t)aborted * 16 : 0) + 4;
      int32_t bytes = (int32_t)get32(p);
      p += 4;
      int64_t before = c->offsets[partition];
      if (bytes > 0) {
        c->offsets[partition] = read_batches(p, (size_t)bytes, before, now);
        p += bytes;
      }
      if (o.again && c->offsets[partition] >= end) c->offsets[partition] = 0;
      if (c->offsets[partition] != before && !c->asked[partition]) {
        c->asked[partition] = true;
        c->changed[c->changed_count++] = partition;
      }
    }
  }
  if (counting) requests_out++;
  fetch(c);
}

/* ---- the loop ---- */

static void on_readable(Connection *c) {
  for (;;) {
    if (c->in_bytes == c->in_room) {
      size_t whole = c->in_bytes >= 4 ? (size_t)get32(c->in) + 4 : 0;
      size_t want = whole > c->in_room ? whole : c->in_room == 0 ? 1 << 16 : c->in_room * 2;
      c->in = realloc(c->in, c->in_room = want);
      if (!c->in) die("memory");
    }
    ssize_t n = recv(c->fd, c->in + c->in_bytes, c->in_room - c->in_bytes, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
      if (n == 0) errno = ECONNRESET;
      die("recv");
    }
    if (n < 0) return;
    c->in_bytes += (size_t)n;
    size_t at = 0;
    while (c->in_bytes - at >= 4 && c->in_bytes - at >= (size_t)get32(c->in + at) + 4) {
      const uint8_t *answer = c->in + at + 4;
      at += (size_t)get32(c->in + at) + 4;
      if (c->consumes) on_fetched(c, answer);
      else on_produced(c, answer);
    }
    if (at > 0) memmove(c->in, c->in + at, c->in_bytes -= at);
    if (c->in_bytes < c->in_room) return; /* less than asked for: there is no more */
  }
}

/* Asks one partition's end (ListOffsets v1, latest), on a connection of its own. */
static int64_t end_of(int fd, int partition) {
  uint8_t buffer[512], *p = buffer;
  put_header(&p, 2, 1);
  put32(&p, 0xffffffff);
  put32(&p, 1);
  put_string(&p, o.topic);
  put32(&p, 1);
  put32(&p, (uint32_t)partition);
  put64(&p, (uint64_t)-1);
  set32(buffer, (uint32_t)(p - buffer) - 4);
  if (send(fd, buffer, (size_t)(p - buffer), MSG_NOSIGNAL) < 0) die("send");
  size_t have = 0;
  while (have < 4 || have < (size_t)get32(buffer) + 4) {
    ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);
    if (n <= 0) die("recv");
    have += (size_t)n;
  }
  const uint8_t *answer = buffer + 8 + 4;
  answer += 2 + get16(answer) + 4;
  if (get16(answer + 4) != 0) {
    fprintf(stderr, "list offsets: error %d\n", (int16_t)get16(answer + 4));
    exit(1);
  }
  return (int64_t)get64(answer + 14);
}

static void make_connection(Connection *c, int index, int of, bool consumes) {
  c->fd = connect_to(o.port);
  c->consumes = consumes;
  c->partitions = malloc(sizeof(int) * (size_t)o.partitions);
  if (o.partitions <= of) c->partitions[c->partition_count++] = index % o.partitions;
  else
    for (int p = index; p < o.partitions; p += of) c->partitions[c->partition_count++] = p;
  if (consumes) {
    c->offsets = calloc((size_t)o.partitions, sizeof *c->offsets);
    c->asked = calloc((size_t)o.partitions, sizeof *c->asked);
    c->changed = malloc(sizeof(int) * (size_t)o.partitions);
    if (o.producers > 0) {
      int fd = connect_to(o.port);
      for (int i = 0; i < c->partition_count; i++) c->offsets[c->partitions[i]] = end_of(fd, c->partitions[i]);
      close(fd);
    }
  } else if (o.rate == 0) make_frame(c);
  watch(c, EPOLLIN);
}

static void read_options(int argc, char **argv) {
  static const struct option names[] = {
      {"port", 1, 0, 'p'}, {"topic", 1, 0, 't'}, {"partitions", 1, 0, 'n'}, {"record-bytes", 1, 0, 'r'}, {"batch-bytes", 1, 0, 'b'},
      {"batches-per-request", 1, 0, 'k'}, {"producers", 1, 0, 'P'}, {"consumers", 1, 0, 'C'}, {"idle", 1, 0, 'I'}, {"acks", 1, 0, 'a'},
      {"in-flight", 1, 0, 'f'}, {"rate", 1, 0, 'R'}, {"again", 0, 0, 'A'}, {"text", 0, 0, 'T'}, {"warmup-ms", 1, 0, 'w'}, {"duration-ms", 1, 0, 'd'},
      {"max-bytes", 1, 0, 'm'}, {"pid", 1, 0, 'i'}, {0, 0, 0, 0}};
  for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
    long value = optarg ? atol(optarg) : 1;
    switch (c) {
      case 'p': o.port = (int)value; break;
      case 't': o.topic = optarg; break;
      case 'n': o.partitions = (int)value; break;
      case 'r': o.record_bytes = (int)value; break;
      case 'b': o.batch_bytes = (int)value; break;
      case 'k': o.batches_per_request = (int)value; break;
      case 'P': o.producers = (int)value; break;
      case 'C': o.consumers = (int)value; break;
      case 'I': o.idle = (int)value; break;
      case 'a': o.acks = (int)value; break;
      case 'f': o.in_flight = (int)value; break;
      case 'R': o.rate = value; break;
      case 'A': o.again = 1; break;
      case 'T': o.text = 1; break;
      case 'w': o.warmup_ms = value; break;
      case 'd': o.duration_ms = value; break;
      case 'm': o.max_bytes = value; break;
      case 'i': o.pid = (int)value; break;
      default: exit(2);
    }
  }
  if (o.port == 0 || o.record_bytes < 16 || o.in_flight >= MAX_IN_FLIGHT || optind < argc) {
    fprintf(stderr, "see the head of load.c\n");
    exit(2);
  }
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  filler = malloc((size_t)o.record_bytes);
  for (int i = 0; i < o.record_bytes; i++) filler[i] = (uint8_t)(next_random() >> 16);
  make_batch();
  epoll_fd = epoll_create1(0);
  for (int i = 0; i < o.idle; i++) connect_to(o.port);
  int count = o.producers + o.consumers;
  Connection *connections = calloc((size_t)count + 1, sizeof *connections);
  for (int i = 0; i < o.producers; i++) make_connection(&connections[i], i, o.producers, false);
  for (int i = 0; i < o.consumers; i++) make_connection(&connections[o.producers + i], i, o.consumers, true);

  int64_t start = now_ns();
  window_from = start + o.warmup_ms * 1000000;
  window_to = window_from + o.duration_ms * 1000000;
  if (o.rate > 0) {
    interval_ns = 1000000000 / o.rate;
    next_due_ns = start + 1000000;
  }
  for (int i = 0; i < count; i++) {
    if (connections[i].consumes) fetch(&connections[i]);
    else if (o.rate == 0) produce_more(&connections[i]);
  }

  Cpu before = {0, 0}, after = {0, 0};
  int64_t from = 0, to = 0;
  struct epoll_event events[256];
  for (;;) {
    int64_t now = now_ns();
    bool is_warm = o.producers == 0 || batches_acknowledged >= 2 * (uint64_t)o.partitions;
    if (!counting && now >= window_from && is_warm) {
      window_from = now;
      window_to = now + o.duration_ms * 1000000;
      before = cpu_of(o.pid);
      from = now_ns();
      counting = true;
    }
    bool full = o.max_bytes > 0 && (int64_t)(bytes_in + bytes_out) >= o.max_bytes;
    if (counting && (now >= window_to || full)) {
      after = cpu_of(o.pid);
      to = now_ns();
      break;
    }
    int64_t wake = counting ? window_to : is_warm ? window_from : now + 1000000;
    if (o.rate > 0) {
      for (int i = 0; i < o.producers; i++) produce_more(&connections[i]);
      if (next_due_ns > now && next_due_ns < wake) wake = next_due_ns;
    }
    int64_t wait = wake - now_ns();
    if (wait < 0) wait = 0;
    struct timespec timeout = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
    int n = epoll_pwait2(epoll_fd, events, 256, &timeout, NULL);
    if (n < 0 && errno != EINTR) die("epoll_pwait2");
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if ((events[i].events & EPOLLOUT) && flush_out(c) && !c->consumes) produce_more(c);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(c);
    }
  }

  printf("{\"seconds\":%.4f,\"recordsIn\":%lu,\"bytesIn\":%lu,\"requestsIn\":%lu,\"recordsOut\":%lu,\"bytesOut\":%lu,\"requestsOut\":%lu",
         (double)(to - from) / 1e9, records_in, bytes_in, requests_in, records_out, bytes_out, requests_out);
  if (o.pid) printf(",\"cpuUserS\":%.2f,\"cpuSystemS\":%.2f", after.user - before.user, after.system - before.system);
  print_latencies("acknowledged", &acknowledged);
  print_latencies("endToEnd", &end_to_end);
  printf("}\n");
  return 0;
}
