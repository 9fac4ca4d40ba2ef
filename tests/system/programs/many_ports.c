// Holds many sockets at once: PROCESSES processes share UDP_COUNT bound UDP sockets, from port UDP_FIRST on, and
// TCP_COUNT connections to as many servers as there are processes, at PORT and the ports after it. When all are open,
// "open" is printed and a line awaited; then every 50th socket sends a byte and reads the answer, and all close, the
// connections by a reset, so that nobody waits for anybody. Connections have local ports from 30000 to 60999.
//   many_ports IPV4 PORT PROCESSES UDP_FIRST UDP_COUNT TCP_COUNT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static void must(long result, const char* what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static void exchange(int fd, const struct sockaddr_in* to) {
    char byte = 'x';
    must(sendto(fd, &byte, 1, 0, (const struct sockaddr*)to, to ? sizeof *to : 0), "sendto");
    must(recv(fd, &byte, 1, 0), "recv");
}

static void hold(struct sockaddr_in server, int udp_first, int udps, int tcps, int opened, int go_on) {
    int* fds = calloc((size_t)(udps + tcps), sizeof *fds);
    for (int i = 0; i < udps; ++i) {
        struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(udp_first + i))};
        must(fds[i] = socket(AF_INET, SOCK_DGRAM, 0), "socket");
        must(bind(fds[i], (struct sockaddr*)&local, sizeof local), "bind");
    }
    for (int i = udps; i < udps + tcps; ++i) {
        struct linger reset = {1, 0};
        uint32_t range = 60999U << 16 | 30000;
        must(fds[i] = socket(AF_INET, SOCK_STREAM, 0), "socket");
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        must(setsockopt(fds[i], IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range), "IP_LOCAL_PORT_RANGE");
        must(connect(fds[i], (struct sockaddr*)&server, sizeof server), "connect");
    }
    must(write(opened, "o", 1), "write");
    char byte;
    must(read(go_on, &byte, 1), "read");
    for (int i = 0; i < udps + tcps; i += 50) exchange(fds[i], i < udps ? &server : NULL);
    exit(0);
}

int main(int argc, char** argv) {
    if (argc != 7) return 2;
    const int processes = atoi(argv[3]), udps = atoi(argv[5]) / processes, tcps = atoi(argv[6]) / processes;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int opened[2], go_on[2];
    must(pipe(opened), "pipe");
    must(pipe(go_on), "pipe");
    for (int i = 0; i < processes; ++i) {
        struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)(atoi(argv[2]) + i))};
        inet_pton(AF_INET, argv[1], &server.sin_addr);
        if (fork() == 0) {
            close(opened[0]);
            close(go_on[1]);
            hold(server, atoi(argv[4]) + i * udps, udps, tcps, opened[1], go_on[0]);
        }
    }
    close(opened[1]);
    close(go_on[0]);
    char bytes[64];
    for (int i = 0; i < processes; ++i)
        if (read(opened[0], bytes, 1) != 1) return 1;
    puts("open");
    fflush(stdout);
    if (!fgets(bytes, sizeof bytes, stdin)) return 1;
    for (int i = 0; i < processes; ++i) must(write(go_on[1], "g", 1), "write");
    int status = 0, worst = 0;
    while (wait(&status) > 0) worst |= status;
    return worst != 0;
}
