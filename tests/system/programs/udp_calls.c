// Sends one datagram by each way there is from a fresh, unbound socket: sendto, connect and send, sendmsg, sendmmsg
// (two destinations), IPv4-mapped IPv6, and a socket that must not get its port from bind. Waits for each answer:
// what arrives after the close is nobody's.
//   udp_calls IPV4 IPV6 PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
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

static int udp(int family) {
    int fd = socket(family, SOCK_DGRAM, 0);
    must(fd, "socket");
    return fd;
}

static void answered(int fd, int count) {
    char data[64];
    while (count-- > 0) must(recv(fd, data, sizeof data, 0), "recv");
    close(fd);
}

static void send_all_ways(int family, const struct sockaddr* to, socklen_t length) {
    int fd = udp(family);
    must(sendto(fd, "sendto", 6, 0, to, length), "sendto");
    answered(fd, 1);

    fd = udp(family);
    must(connect(fd, to, length), "connect");
    must(send(fd, "send", 4, 0), "send");
    answered(fd, 1);

    fd = udp(family);
    struct iovec data = {"sendmsg", 7};
    struct msghdr message = {.msg_name = (void*)to, .msg_namelen = length, .msg_iov = &data, .msg_iovlen = 1};
    must(sendmsg(fd, &message, 0), "sendmsg");
    answered(fd, 1);

    fd = udp(family);
    struct mmsghdr messages[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
    must(sendmmsg(fd, messages, 2, 0), "sendmmsg");
    answered(fd, 2);

    fd = udp(family);
    int on = 1;
    must(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "IP_BIND_ADDRESS_NO_PORT");
    must(sendto(fd, "late", 4, 0, to, length), "sendto without a port");
    answered(fd, 1);
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[3]))};
    inet_pton(AF_INET, argv[1], &v4.sin_addr);
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    inet_pton(AF_INET6, argv[2], &v6.sin6_addr);
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = v4.sin_port};
    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &v4.sin_addr, 4);

    send_all_ways(AF_INET, (struct sockaddr*)&v4, sizeof v4);
    send_all_ways(AF_INET6, (struct sockaddr*)&v6, sizeof v6);
    send_all_ways(AF_INET6, (struct sockaddr*)&mapped, sizeof mapped);
    return 0;
}
