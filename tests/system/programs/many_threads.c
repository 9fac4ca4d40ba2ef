// A server of datagrams: some threads that each answer on a socket of their own, and one that starts another thread
// for every datagram. Prints "ready PORT..." and ends at end of input.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { THREADS = 4 };

static int bound_socket(int* port) {
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    socklen_t length = sizeof any;
    if (fd < 0 || bind(fd, (struct sockaddr*)&any, sizeof any) != 0 ||
        getsockname(fd, (struct sockaddr*)&any, &length) != 0) {
        perror("bound socket");
        exit(1);
    }
    *port = ntohs(any.sin6_port);
    return fd;
}

// Answers from a socket that nobody has seen before.
static void* answer(void* argument) {
    struct sockaddr_in6* to = argument;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (sendto(fd, "fresh", 5, 0, (struct sockaddr*)to, sizeof *to) != 5) perror("sendto");
    close(fd);
    free(to);
    return NULL;
}

static void* serve(void* argument) {
    int fd = (int)(long)argument;
    char data[64];
    for (;;) {
        struct sockaddr_in6* from = malloc(sizeof *from);
        socklen_t length = sizeof *from;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr*)from, &length);
        if (n < 0) continue;
        sendto(fd, data, (size_t)n, 0, (struct sockaddr*)from, length);
        pthread_t thread;
        if (pthread_create(&thread, NULL, answer, from) == 0) pthread_detach(thread);
    }
    return NULL;
}

int main(void) {
    int ports[THREADS];
    for (int i = 0; i < THREADS; ++i) {
        pthread_t thread;
        int fd = bound_socket(&ports[i]);
        pthread_create(&thread, NULL, serve, (void*)(long)fd);
    }
    printf("ready");
    for (int i = 0; i < THREADS; ++i) printf(" %d", ports[i]);
    printf("\n");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
