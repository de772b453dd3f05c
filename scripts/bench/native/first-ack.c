/*
 * From exec to the first acknowledged produce: forks, starts a broker, knocks on its port until a connection is accepted, sends a
 * Produce v7 request of one record for partition 0 and repeats it until one is acknowledged without an error.
 * Prints {"connectedMs":…,"acknowledgedMs":…,"pid":…} and leaves the broker running, as a child of whoever adopts it.
 *
 *   first-ack PORT TOPIC TIMEOUT_MS LOG COMMAND ARGUMENTS…
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

enum { PAUSE_US = 200 };

int main(int argc, char **argv) {
  if (argc < 6) {
    fprintf(stderr, "first-ack PORT TOPIC TIMEOUT_MS LOG COMMAND ARGUMENTS...\n");
    return 2;
  }
  const char *topic = argv[2];
  uint8_t frame[1024], *p = frame + 4;
  put16(&p, 0);
  put16(&p, 7);
  put32(&p, 1);
  put_string(&p, "bench");
  put16(&p, 0xffff);
  put16(&p, 0xffff); /* acks=all */
  put32(&p, 30000);
  put32(&p, 1);
  put_string(&p, topic);
  put32(&p, 1);
  put32(&p, 0);
  uint8_t *size_at = p, *records = p + 4 + BATCH_HEADER;
  put_record(&records, 0, 16, (const uint8_t *)"0123456789abcdef");
  set32(size_at, (uint32_t)(records - size_at) - 4);
  seal_batch(size_at + 4, (uint32_t)(records - size_at) - 4, 1);
  size_t bytes = (size_t)(records - frame);
  set32(frame, (uint32_t)bytes - 4);

  int64_t start = now_ns(), until = start + atol(argv[3]) * 1000000, connected = 0;
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    int log = open(argv[4], O_WRONLY | O_CREAT | O_APPEND, 0644), none = open("/dev/null", O_RDONLY);
    dup2(none, 0);
    dup2(log, 1);
    dup2(log, 2);
    setsid();
    execvp(argv[5], argv + 5);
    die(argv[5]);
  }
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int error = -2;
  while (now_ns() < until) {
    if (waitpid(pid, NULL, WNOHANG) == pid) {
      fprintf(stderr, "the broker ended: see its log\n");
      return 1;
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
      close(fd);
      usleep(PAUSE_US);
      continue;
    }
    if (connected == 0) connected = now_ns();
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    while (now_ns() < until) {
      if (send(fd, frame, bytes, MSG_NOSIGNAL) < 0) break;
      uint8_t in[1024];
      size_t have = 0;
      ssize_t n = 1;
      while ((have < 4 || have < (size_t)get32(in) + 4) && (n = recv(fd, in + have, sizeof in - have, 0)) > 0) have += (size_t)n;
      if (n <= 0) break;
      uint8_t *answer = in + 8 + 4;
      answer += 2 + get16(answer) + 4 + 4;
      error = (int16_t)get16(answer);
      if (error == 0) {
        printf("{\"connectedMs\":%.2f,\"acknowledgedMs\":%.2f,\"pid\":%d}\n", (double)(connected - start) / 1e6,
               (double)(now_ns() - start) / 1e6, (int)pid);
        return 0;
      }
      usleep(PAUSE_US);
    }
    close(fd);
  }
  fprintf(stderr, "no acknowledgement in time; the last error was %d\n", error);
  return 1;
}
