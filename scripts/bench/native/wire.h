/* Big-endian fields, CRC-32C and v2 record batches, for the benchmark's C programs. Needs SSE 4.2 (x86-64) or the ARM CRC extension. */

#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define CRC_8(crc, value) _mm_crc32_u64(crc, value)
#define CRC_1(crc, value) _mm_crc32_u8((uint32_t)(crc), value)
#elif defined(__aarch64__)
#include <arm_acle.h>
#define CRC_8(crc, value) __crc32cd((uint32_t)(crc), value)
#define CRC_1(crc, value) __crc32cb((uint32_t)(crc), value)
#else
#error "no CRC-32C instruction is known here"
#endif

enum { LOG_OVERHEAD = 12, BATCH_HEADER = 61, CRC_AT = 17, CRC_FROM = 21 };

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline __attribute__((noreturn)) void die(const char *what) {
  perror(what);
  exit(1);
}

static inline uint32_t crc32c(const uint8_t *p, size_t n) {
  uint64_t crc = 0xffffffff;
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = CRC_8(crc, word);
  }
  while (n-- > 0) crc = CRC_1(crc, *p++);
  return ~(uint32_t)crc;
}

static inline uint16_t get16(const uint8_t *p) { uint16_t v; memcpy(&v, p, 2); return be16toh(v); }
static inline uint32_t get32(const uint8_t *p) { uint32_t v; memcpy(&v, p, 4); return be32toh(v); }
static inline uint64_t get64(const uint8_t *p) { uint64_t v; memcpy(&v, p, 8); return be64toh(v); }
static inline void set16(uint8_t *p, uint16_t v) { v = htobe16(v); memcpy(p, &v, 2); }
static inline void set32(uint8_t *p, uint32_t v) { v = htobe32(v); memcpy(p, &v, 4); }
static inline void set64(uint8_t *p, uint64_t v) { v = htobe64(v); memcpy(p, &v, 8); }

/* Writers: put a field at *p and move it. */
static inline void put8(uint8_t **p, uint8_t v) { *(*p)++ = v; }
static inline void put16(uint8_t **p, uint16_t v) { set16(*p, v); *p += 2; }
static inline void put32(uint8_t **p, uint32_t v) { set32(*p, v); *p += 4; }
static inline void put64(uint8_t **p, uint64_t v) { set64(*p, v); *p += 8; }
static inline void put_string(uint8_t **p, const char *s) {
  size_t n = strlen(s);
  put16(p, (uint16_t)n);
  memcpy(*p, s, n);
  *p += n;
}
/* A zigzag varint of a number >= 0. */
static inline void put_varint(uint8_t **p, uint32_t value) {
  uint64_t v = (uint64_t)value << 1;
  for (; v >= 0x80; v >>= 7) *(*p)++ = (uint8_t)v | 0x80;
  *(*p)++ = (uint8_t)v;
}
static inline int64_t get_varint(const uint8_t **p) {
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    uint8_t byte = *(*p)++;
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
  }
}
static inline int varint_bytes(uint32_t value) {
  int n = 1;
  for (uint64_t v = (uint64_t)value << 1; v >= 0x80; v >>= 7) n++;
  return n;
}

/* Bytes of a record without key and headers whose value has `value_bytes`. */
static inline uint32_t record_size(uint32_t offset_delta, uint32_t value_bytes) {
  uint32_t body = 1 + 1 + varint_bytes(offset_delta) + 1 + varint_bytes(value_bytes) + value_bytes + 1;
  return varint_bytes(body) + body;
}

/* One record; returns where its value stands. */
static inline uint8_t *put_record(uint8_t **p, uint32_t offset_delta, uint32_t value_bytes, const uint8_t *value) {
  put_varint(p, 1 + 1 + varint_bytes(offset_delta) + 1 + varint_bytes(value_bytes) + value_bytes + 1);
  put8(p, 0);           /* attributes */
  put8(p, 0);           /* timestamp delta */
  put_varint(p, offset_delta);
  put8(p, 1);           /* key: -1, null */
  put_varint(p, value_bytes);
  uint8_t *at = *p;
  memcpy(at, value, value_bytes);
  *p += value_bytes;
  put8(p, 0);           /* headers */
  return at;
}

/* The header of a batch whose `count` records stand behind it already, with its CRC. No producer id. */
static inline void seal_batch(uint8_t *batch, uint32_t bytes, uint32_t count) {
  int64_t ms = now_ms();
  uint8_t *p = batch;
  put64(&p, 0);
  put32(&p, bytes - LOG_OVERHEAD);
  put32(&p, 0xffffffff); /* partition leader epoch */
  put8(&p, 2);           /* magic */
  put32(&p, 0);          /* CRC */
  put16(&p, 0);
  put32(&p, count - 1);
  put64(&p, ms);
  put64(&p, ms);
  put64(&p, (uint64_t)-1);
  put16(&p, 0xffff);
  put32(&p, 0xffffffff);
  put32(&p, count);
  set32(batch + CRC_AT, crc32c(batch + CRC_FROM, bytes - CRC_FROM));
}

#endif
