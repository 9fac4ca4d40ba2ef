// Threads that change what a system call of another is about, while it runs.
//   shifting_calls ports IPV4 SINK ONE OTHER     binds to an address whose port another thread flips between two, and
//                                                sends a datagram from each port that it gets
//   shifting_calls sockets IPV4 SINK             connects a descriptor over which another thread dup2s new sockets
// Says how often the first or second port was had, or how many connects succeeded.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROUNDS = 3000, ENOUGH = 200, DESCRIPTOR = 100 };

static struct sockaddr_in sink;
static volatile struct sockaddr_in address;  // that bind reads
static unsigned short ports[2];
static atomic_int over;

static void* flip_ports(void* argument) {
    (void)argument;
    while (!over) {
        address.sin_port = htons(ports[0]);
        address.sin_port = htons(ports[1]);
    }
    return NULL;
}

// Its port will not be one of the strangers'.
static int new_socket(void) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const uint32_t range = 60999U << 16 | 30000U;
    setsockopt(fd, IPPROTO_IP, 51, &range, sizeof range);  // IP_LOCAL_PORT_RANGE
    return fd;
}

static void* replace_sockets(void* argument) {
    (void)argument;
    while (!over) {
        const int fd = new_socket();
        dup2(fd, DESCRIPTOR);
        close(fd);
    }
    return NULL;
}

static void flip(void) {
    int had[2] = {0, 0};
    address.sin_family = AF_INET;
    address.sin_port = htons(ports[0]);
    // On a busy machine the thread that flips may rest for a while.
    for (int round = 0; round < ROUNDS || (had[1] < ENOUGH && round < 100 * ROUNDS); ++round) {
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(fd, (const struct sockaddr*)&address, sizeof address) == 0) {
            struct sockaddr_in got;
            socklen_t length = sizeof got;
            getsockname(fd, (struct sockaddr*)&got, &length);
            ++had[ntohs(got.sin_port) == ports[1]];
            sendto(fd, "ours", 4, 0, (struct sockaddr*)&sink, sizeof sink);
        }
        close(fd);
        usleep(100);  // the stranger is to have its turns
    }
    printf("%d %d\n", had[0], had[1]);
}

static void replace(void) {
    int connected = 0;
    for (int round = 0; round < ROUNDS / 10; ++round) {
        const int fd = new_socket();
        dup2(fd, DESCRIPTOR);
        close(fd);
        connected += connect(DESCRIPTOR, (struct sockaddr*)&sink, sizeof sink) == 0;
    }
    printf("%d\n", connected);
}

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const int flips = strcmp(argv[1], "ports") == 0;
    sink.sin_family = AF_INET;
    sink.sin_port = htons((unsigned short)atoi(argv[3]));
    inet_pton(AF_INET, argv[2], &sink.sin_addr);
    for (int i = 0; i < argc - 4 && i < 2; ++i) ports[i] = (unsigned short)atoi(argv[4 + i]);
    pthread_t other;
    pthread_create(&other, NULL, flips ? flip_ports : replace_sockets, NULL);
    if (flips)
        flip();
    else
        replace();
    over = 1;
    pthread_join(other, NULL);
    return 0;
}
