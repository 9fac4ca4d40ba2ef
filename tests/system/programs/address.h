// The address that a target program is told to talk to, and a first word to it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static inline struct sockaddr_in address_of(const char* ipv4, const char* port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    inet_pton(AF_INET, ipv4, &address.sin_addr);
    return address;
}

// A datagram from a socket of its own. Makes system calls alone, so that a child of vfork may use it.
static inline int send_word(const struct sockaddr_in* to, const char* word) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const int sent = sendto(fd, word, strlen(word), 0, (const struct sockaddr*)to, sizeof *to) >= 0;
    close(fd);
    return sent;
}
