// A fast server for storms: echoes each datagram, and the first bytes of each connection, then closes its end after
// the client has. Eight threads accept, two answer datagrams; IPv4 comes mapped.
//   echo_server PORT
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ACCEPTING = 8, ANSWERING = 2 };

static int bound(int type, int port) {
    int fd = socket(AF_INET6, type, 0);
    int on = 1, size = 8 << 20, queue = 256;
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue);
    if (bind(fd, (struct sockaddr*)&any, sizeof any) != 0) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static void* accept_connections(void* argument) {
    char data[256];
    for (;;) {
        int fd = accept((int)(long)argument, NULL, NULL);
        if (fd < 0) continue;
        for (ssize_t n; (n = read(fd, data, sizeof data)) > 0;)
            if (write(fd, data, (size_t)n) != n) break;
        close(fd);
    }
    return NULL;
}

static void* answer_datagrams(void* argument) {
    int fd = (int)(long)argument;
    char data[256];
    for (;;) {
        struct sockaddr_in6 from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr*)&from, &length);
        if (n > 0) sendto(fd, data, (size_t)n, 0, (struct sockaddr*)&from, length);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    int tcp = bound(SOCK_STREAM, atoi(argv[1])), udp = bound(SOCK_DGRAM, atoi(argv[1]));
    listen(tcp, 4096);
    for (int i = 0; i < ACCEPTING + ANSWERING; ++i) {
        pthread_t thread;
        pthread_create(&thread, NULL, i < ACCEPTING ? accept_connections : answer_datagrams,
                       (void*)(long)(i < ACCEPTING ? tcp : udp));
    }
    pause();
    return 0;
}
