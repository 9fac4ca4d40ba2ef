// Sends datagrams as fast as it can, or at a rate, from one socket by sendmmsg; then says how long that took.
// Each begins with its number, and none is answered.
//   udp_flood ADDRESS PORT PACKETS SIZE [PACKETS_A_SECOND]        SIZE: bytes of the packet with its IP header
#define _GNU_SOURCE
#include "../../tests/system/programs/address.h"

#include <errno.h>
#include <stdint.h>

#include "stopwatch.h"

enum { BATCH = 64, HEADERS = 28, LARGEST = 65000 };

int main(int argc, char** argv) {
    if (argc < 5) return 2;
    const struct sockaddr_in to = address_of(argv[1], argv[2]);
    const long packets = atol(argv[3]), payload = atol(argv[4]) - HEADERS;
    const double rate = argc > 5 ? atof(argv[5]) : 0;
    if (payload < (long)sizeof(uint64_t) || payload > LARGEST) return 2;

    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (const struct sockaddr*)&to, sizeof to) != 0) {
        perror("connect");
        return 1;
    }
    static char data[BATCH][LARGEST];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; ++i) {
        parts[i] = (struct iovec){data[i], (size_t)payload};
        messages[i].msg_hdr.msg_iov = &parts[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }

    const double began = seconds_now();
    for (long sent = 0; sent < packets;) {
        if (rate > 0) sleep_until(began + (double)sent / rate);
        const int batch = packets - sent < BATCH ? (int)(packets - sent) : BATCH;
        for (int i = 0; i < batch; ++i) {
            const uint64_t number = (uint64_t)(sent + i);
            memcpy(data[i], &number, sizeof number);
        }
        const int n = sendmmsg(fd, messages, (unsigned)batch, 0);
        if (n > 0) sent += n;
        // A port that nobody listens on is reported to who sends there.
        if (n < 0 && errno != EINTR && errno != ECONNREFUSED) {
            perror("sendmmsg");
            return 1;
        }
    }
    printf("%.6f\n", seconds_now() - began);
    return 0;
}
