/*
 * The limit to approach: a server that does only what a broker must do with a Produce v7 or Fetch v11 request, in one thread on one
 * epoll loop. Produce: find the partition, check the batch (lengths, magic, CRC-32C by instruction, offset range, and its
 * records walked and counted), set base offset and leader epoch, append by one pwrite, answer. Fetch: find the batch by offset, read
 * whole batches from the file, answer. No metadata, no topics (a name is a name), no recovery, no sessions, no sync.
 *
 *   reference PORT DIRECTORY
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

enum { PARTITIONS = 4096, IN_BYTES = 2 << 20, OUT_BYTES = (16 << 20) };

typedef struct { int64_t offset, at; } Entry;
static struct {
  int fd;
  int64_t end_offset, end_bytes;
  Entry *batches; /* one per batch */
  size_t count, room;
} partitions[PARTITIONS];

typedef struct {
  int fd;
  uint8_t *in, *out;
  size_t in_bytes, out_bytes, out_at;
  bool waits; /* for room to send */
} Connection;

static int epoll_fd;
static const char *directory;

static void open_partition(int index) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%d.log", directory, index);
  partitions[index].fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (partitions[index].fd < 0) die(path);
}

/* Whether this is one good batch of `bytes` bytes. */
static bool is_valid(const uint8_t *b, uint32_t bytes) {
  if (bytes < BATCH_HEADER || get32(b + 8) + LOG_OVERHEAD != bytes || b[16] != 2) return false;
  if (crc32c(b + CRC_FROM, bytes - CRC_FROM) != get32(b + CRC_AT)) return false;
  uint32_t count = get32(b + 57);
  if (count == 0 || get32(b + 23) + 1 != count) return false;
  const uint8_t *p = b + BATCH_HEADER, *end = b + bytes;
  uint32_t seen = 0;
  for (; p < end; seen++) {
    int64_t size = get_varint(&p);
    if (size < 0 || size > end - p) return false;
    const uint8_t *next = p + size;
    p++;
    get_varint(&p);                                /* timestamp delta */
    if (get_varint(&p) != seen) return false;      /* offset delta */
    int64_t key = get_varint(&p);
    if (key > 0) p += key;
    int64_t value = get_varint(&p);
    if (value > 0) p += value;
    if (p >= next) return false;
    p = next;
  }
  return seen == count;
}

static int append(int index, uint8_t *b, uint32_t bytes, int64_t *base) {
  if (index < 0 || index >= PARTITIONS) return 3;
  if (!is_valid(b, bytes)) return 2;
  if (partitions[index].fd == 0) open_partition(index);
  *base = partitions[index].end_offset;
  set64(b, (uint64_t)*base);
  set32(b + 12, 0);
  if (pwrite(partitions[index].fd, b, bytes, partitions[index].end_bytes) != (ssize_t)bytes) die("pwrite");
  if (partitions[index].count == partitions[index].room) {
    partitions[index].room = partitions[index].room ? partitions[index].room * 2 : 1024;
    partitions[index].batches = realloc(partitions[index].batches, partitions[index].room * sizeof(Entry));
    if (!partitions[index].batches) die("memory");
  }
  partitions[index].batches[partitions[index].count++] = (Entry){*base, partitions[index].end_bytes};
  partitions[index].end_offset += get32(b + 57);
  partitions[index].end_bytes += bytes;
  return 0;
}

static void produce(Connection *c, uint8_t *p, uint32_t correlation) {
  uint8_t *answer = c->out + c->out_bytes, *a = answer + 4;
  put32(&a, correlation);
  p += 2 + 2 + 4; /* no transactional id, acks, timeout */
  uint32_t topics = get32(p);
  p += 4;
  put32(&a, topics);
  for (uint32_t t = 0; t < topics; t++) {
    uint16_t name = get16(p);
    memcpy(a, p, 2 + name);
    a += 2 + name;
    p += 2 + name;
    uint32_t count = get32(p);
    p += 4;
    put32(&a, count);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t index = get32(p), bytes = get32(p + 4);
      int64_t base = -1;
      int error = append((int)index, p + 8, bytes, &base);
      p += 8 + bytes;
      put32(&a, index);
      put16(&a, (uint16_t)error);
      put64(&a, (uint64_t)base);
      put64(&a, (uint64_t)-1);
      put64(&a, 0);
    }
  }
  put32(&a, 0);
  set32(answer, (uint32_t)(a - answer) - 4);
  c->out_bytes = (size_t)(a - c->out);
}

/* Whole batches from `offset` on, at most `limit` bytes but for the first; how many bytes were put at `a`. */
static uint32_t read_log(int index, int64_t offset, uint32_t limit, uint8_t *a) {
  size_t low = 0, high = partitions[index].count;
  if (high == 0 || offset >= partitions[index].end_offset) return 0;
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (partitions[index].batches[middle].offset <= offset) low = middle;
    else high = middle;
  }
  int64_t from = partitions[index].batches[low].at, to = partitions[index].end_bytes;
  if (to - from > limit) {
    size_t first = low, last = partitions[index].count;
    while (last - first > 1) {
      size_t middle = (first + last) / 2;
      if (partitions[index].batches[middle].at - from <= limit) first = middle;
      else last = middle;
    }
    if (first == low) first++;
    to = partitions[index].batches[first].at;
  }
  if (pread(partitions[index].fd, a, (size_t)(to - from), from) != to - from) die("pread");
  return (uint32_t)(to - from);
}

static void fetch(Connection *c, uint8_t *p, uint32_t correlation) {
  uint8_t *answer = c->out + c->out_bytes, *a = answer + 4;
  put32(&a, correlation);
  put32(&a, 0);
  put16(&a, 0);
  put32(&a, 0); /* no session */
  uint32_t room = get32(p + 12);
  p += 4 + 4 + 4 + 4 + 1 + 4 + 4;
  uint32_t topics = get32(p);
  p += 4;
  put32(&a, topics);
  for (uint32_t t = 0; t < topics; t++) {
    uint16_t name = get16(p);
    memcpy(a, p, 2 + name);
    a += 2 + name;
    p += 2 + name;
    uint32_t count = get32(p);
    p += 4;
    put32(&a, count);
    for (uint32_t i = 0; i < count; i++, p += 28) {
      int index = (int)get32(p);
      uint32_t limit = get32(p + 24) < room ? get32(p + 24) : room;
      put32(&a, (uint32_t)index);
      put16(&a, 0);
      put64(&a, (uint64_t)partitions[index].end_offset);
      put64(&a, (uint64_t)partitions[index].end_offset);
      put64(&a, 0);
      put32(&a, 0);
      put32(&a, 0xffffffff);
      uint32_t bytes = limit < 65536 ? 0 : read_log(index, (int64_t)get64(p + 8), limit, a + 4);
      put32(&a, bytes);
      a += bytes;
      room -= bytes < room ? bytes : room;
    }
  }
  set32(answer, (uint32_t)(a - answer) - 4);
  c->out_bytes = (size_t)(a - c->out);
}

static void watch(Connection *c, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e) < 0) die("epoll_ctl");
}

static void hang_up(Connection *c) {
  close(c->fd);
  free(c->in);
  free(c->out);
  free(c);
}

/* False when the peer is gone. Nothing is read from a connection whose answers are not out. */
static bool flush_out(Connection *c) {
  while (c->out_at < c->out_bytes) {
    ssize_t n = send(c->fd, c->out + c->out_at, c->out_bytes - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      if (!c->waits) watch(c, EPOLLOUT);
      return c->waits = true;
    }
    if (n < 0) return false;
    c->out_at += (size_t)n;
  }
  if (c->waits) watch(c, EPOLLIN);
  c->waits = false;
  c->out_at = c->out_bytes = 0;
  return true;
}

static bool on_readable(Connection *c) {
  ssize_t n = recv(c->fd, c->in + c->in_bytes, IN_BYTES - c->in_bytes, MSG_DONTWAIT);
  if (n < 0 && errno == EAGAIN) return true;
  if (n <= 0) return false;
  c->in_bytes += (size_t)n;
  size_t at = 0;
  while (c->in_bytes - at >= 4 && c->in_bytes - at >= (size_t)get32(c->in + at) + 4) {
    uint8_t *frame = c->in + at + 4;
    uint16_t key = get16(frame);
    uint8_t *body = frame + 8 + 2 + get16(frame + 8);
    if (key == 0) produce(c, body, get32(frame + 4));
    else if (key == 1) fetch(c, body, get32(frame + 4));
    else return false;
    at += (size_t)get32(c->in + at) + 4;
  }
  if (at > 0) memmove(c->in, c->in + at, c->in_bytes -= at);
  return flush_out(c);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "reference PORT DIRECTORY\n");
    return 2;
  }
  directory = argv[2];
  mkdir(directory, 0755);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0) die("listen");
  epoll_fd = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &e);
  for (;;) {
    int n = epoll_wait(epoll_fd, events, 256, -1);
    for (int i = 0; i < n; i++) {
      Connection *c = events[i].data.ptr;
      if (c == NULL) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c = calloc(1, sizeof *c);
        c->fd = fd;
        c->in = malloc(IN_BYTES);
        c->out = malloc(OUT_BYTES);
        e = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
      } else if (!((events[i].events & EPOLLOUT) ? flush_out(c) : on_readable(c))) hang_up(c);
    }
  }
}
