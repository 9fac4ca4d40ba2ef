// Short exchanges with a server, by several processes of several threads: each opens a socket, sends, reads the answer,
// closes. The kinds take turns: TCP blocking and non-blocking, bound to port 0 first, with fast open; UDP by sendto,
// connect and send, sendmsg, sendmmsg; over IPv4, IPv6 and IPv4-mapped IPv6.
//   storm IPV4 IPV6 PORT PROCESSES THREADS EXCHANGES [FIRST_PORT LAST_PORT]
// EXCHANGES is for each thread. With a range, the kernel chooses the source ports from it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static struct sockaddr_in v4;
static struct sockaddr_in6 v6, mapped;
static uint32_t port_range;
static int exchanges;

static void must(long result, const char* what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static int open_socket(int family, int type) {
    int fd = socket(family, type, 0);
    must(fd, "socket");
    if (port_range != 0)
        must(setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &port_range, sizeof port_range), "IP_LOCAL_PORT_RANGE");
    return fd;
}

static void answered(int fd) {
    char data[64];
    struct timeval patience = {10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    must(recv(fd, data, sizeof data, 0), "recv");
}

static void tcp_exchange(int kind, const struct sockaddr* to, socklen_t length) {
    int fd = open_socket(to->sa_family, SOCK_STREAM | (kind == 1 ? SOCK_NONBLOCK : 0));
    if (kind == 2) {
        struct sockaddr_storage any = {.ss_family = to->sa_family};
        must(bind(fd, (struct sockaddr*)&any, length), "bind");
    }
    if (kind == 3) {
        must(sendto(fd, "x", 1, MSG_FASTOPEN, to, length), "fast open");
    } else {
        if (connect(fd, to, length) != 0 && errno != EINPROGRESS) must(-1, "connect");
        struct pollfd ready = {fd, POLLOUT, 0};
        must(poll(&ready, 1, 10000), "poll");
        must(send(fd, "x", 1, 0), "send");
    }
    struct pollfd ready = {fd, POLLIN, 0};
    must(poll(&ready, 1, 10000), "poll");
    answered(fd);
    close(fd);
}

static void udp_exchange(int kind, const struct sockaddr* to, socklen_t length) {
    int fd = open_socket(to->sa_family, SOCK_DGRAM);
    struct iovec data = {"x", 1};
    struct msghdr message = {.msg_name = (void*)to, .msg_namelen = length, .msg_iov = &data, .msg_iovlen = 1};
    struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    switch (kind) {
        case 0:
            must(sendto(fd, "x", 1, 0, to, length), "sendto");
            break;
        case 1:
            must(connect(fd, to, length), "connect");
            must(send(fd, "x", 1, 0), "send");
            break;
        case 2:
            must(sendmsg(fd, &message, 0), "sendmsg");
            break;
        default:
            must(sendmmsg(fd, messages, 2, 0), "sendmmsg");
            answered(fd);
    }
    answered(fd);
    close(fd);
}

static void* exchange(void* argument) {
    long turn = (long)argument;
    for (int i = 0; i < exchanges; ++i, ++turn) {
        const int family = (int)(turn / 8 % 3);
        const struct sockaddr* to = family == 0   ? (struct sockaddr*)&v4
                                    : family == 1 ? (struct sockaddr*)&v6
                                                  : (struct sockaddr*)&mapped;
        const socklen_t length = family == 0 ? sizeof v4 : sizeof v6;
        if (turn % 8 < 4)
            tcp_exchange((int)(turn % 4), to, length);
        else
            udp_exchange((int)(turn % 4), to, length);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc != 7 && argc != 9) return 2;
    const int processes = atoi(argv[4]), threads = atoi(argv[5]);
    v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    v6 = mapped = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    inet_pton(AF_INET, argv[1], &v4.sin_addr);
    inet_pton(AF_INET6, argv[2], &v6.sin6_addr);
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &v4.sin_addr, 4);
    exchanges = atoi(argv[6]);
    if (argc == 9) port_range = (uint32_t)atoi(argv[8]) << 16 | (uint32_t)atoi(argv[7]);

    for (int i = 0; i < processes; ++i) {
        if (fork() != 0) continue;
        pthread_t ids[64];
        for (int t = 0; t < threads && t < 64; ++t) pthread_create(&ids[t], NULL, exchange, (void*)(long)(i + t));
        for (int t = 0; t < threads && t < 64; ++t) pthread_join(ids[t], NULL);
        exit(0);
    }
    int status = 0, worst = 0;
    while (wait(&status) > 0) worst |= status;
    return worst != 0;
}
