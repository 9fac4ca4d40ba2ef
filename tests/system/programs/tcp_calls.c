// Connects in every way there is: blocking, non-blocking, bound first, over IPv6, IPv4-mapped, with fast open, again on
// a socket that was refused, and again after a disconnect. Each connection sends a byte and closes.
//   tcp_calls IPV4 IPV6 PORT REFUSING_PORT [ROUNDS]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(long result, const char* what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static int tcp(int family, int flags) {
    int fd = socket(family, SOCK_STREAM | flags, 0);
    must(fd, "socket");
    return fd;
}

static void talk_and_close(int fd) {
    char byte = 'x';
    must(write(fd, &byte, 1), "write");
    close(fd);
}

static void blocking(int family, const struct sockaddr* to, socklen_t length) {
    int fd = tcp(family, 0);
    must(connect(fd, to, length), "connect");
    talk_and_close(fd);
}

static void non_blocking(int family, const struct sockaddr* to, socklen_t length) {
    int fd = tcp(family, SOCK_NONBLOCK);
    if (connect(fd, to, length) != 0 && errno != EINPROGRESS) must(-1, "non-blocking connect");
    struct pollfd ready = {fd, POLLOUT, 0};
    must(poll(&ready, 1, 5000), "poll");
    talk_and_close(fd);
}

static void bound_first(const struct sockaddr_in* to) {
    int fd = tcp(AF_INET, 0);
    struct sockaddr_in any = {.sin_family = AF_INET};
    must(bind(fd, (struct sockaddr*)&any, sizeof any), "bind");
    must(connect(fd, (const struct sockaddr*)to, sizeof *to), "connect of a bound socket");
    talk_and_close(fd);
}

static void fast_open(const struct sockaddr_in* to) {
    int fd = tcp(AF_INET, 0);
    must(sendto(fd, "fast", 4, MSG_FASTOPEN, (const struct sockaddr*)to, sizeof *to), "sendto with MSG_FASTOPEN");
    close(fd);
}

static void again(const struct sockaddr_in* to, const struct sockaddr_in* refusing) {
    int fd = tcp(AF_INET, 0);
    if (connect(fd, (const struct sockaddr*)refusing, sizeof *refusing) == 0 || errno != ECONNREFUSED)
        must(-1, "connect that is to be refused");
    must(connect(fd, (const struct sockaddr*)to, sizeof *to), "connect after a refusal");
    must(write(fd, "1", 1), "write");
    struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    must(connect(fd, &nobody, sizeof nobody), "disconnect");
    must(connect(fd, (const struct sockaddr*)to, sizeof *to), "connect after a disconnect");
    talk_and_close(fd);
}

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    inet_pton(AF_INET, argv[1], &v4.sin_addr);
    struct sockaddr_in refusing = v4;
    refusing.sin_port = htons((unsigned short)atoi(argv[4]));
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    inet_pton(AF_INET6, argv[2], &v6.sin6_addr);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &v4.sin_addr, 4);

    for (int round = argc > 5 ? atoi(argv[5]) : 1; round > 0; --round) {
        blocking(AF_INET, (struct sockaddr*)&v4, sizeof v4);
        blocking(AF_INET6, (struct sockaddr*)&v6, sizeof v6);
        blocking(AF_INET6, (struct sockaddr*)&mapped, sizeof mapped);
        non_blocking(AF_INET, (struct sockaddr*)&v4, sizeof v4);
        non_blocking(AF_INET6, (struct sockaddr*)&v6, sizeof v6);
        bound_first(&v4);
        fast_open(&v4);
        again(&v4, &refusing);
    }
    return 0;
}
