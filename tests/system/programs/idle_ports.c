// Holds sockets that do nothing until a line arrives on standard input: bound and unused UDP (IPv4 and IPv6), a
// listener without bind, a bound TCP socket. Prints their ports. "send ADDRESS PORT": a datagram from the bound
// IPv4 socket; "close": closes that one; end of input: exits.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(int family, int type) {
    int fd = socket(family, type, 0);
    if (fd < 0) {
        perror("socket");
        exit(1);
    }
    return fd;
}

static int bound(int family, int type) {
    int fd = open_socket(family, type);
    struct sockaddr_storage any = {.ss_family = (sa_family_t)family};
    if (bind(fd, (struct sockaddr*)&any, sizeof any) != 0) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_in6 name;
    socklen_t length = sizeof name;
    getsockname(fd, (struct sockaddr*)&name, &length);
    return ntohs(name.sin6_port);  // at the same place for both families
}

int main(void) {
    int udp4 = bound(AF_INET, SOCK_DGRAM);
    int udp6 = bound(AF_INET6, SOCK_DGRAM);
    int tcp = bound(AF_INET, SOCK_STREAM);
    int listener = open_socket(AF_INET, SOCK_STREAM);
    if (listen(listener, 5) != 0) return 1;
    printf("udp4 %d udp6 %d tcp %d listener %d\n", port_of(udp4), port_of(udp6), port_of(tcp), port_of(listener));
    fflush(stdout);

    char line[256], address[64];
    int port;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "send %63s %d", address, &port) == 2) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
            inet_pton(AF_INET, address, &to.sin_addr);
            if (sendto(udp4, "awake", 5, 0, (struct sockaddr*)&to, sizeof to) != 5) perror("sendto");
        } else if (strncmp(line, "close", 5) == 0) {
            close(udp4);
        }
        printf("done\n");
        fflush(stdout);
    }
    return 0;
}
