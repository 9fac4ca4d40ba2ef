// Has a port, and lets what comes there pile up and be thrown away: a receiver that makes no system call, so that to be
// stopped at each, as an attached tracer does, is not what is measured.
//   udp_sink PORT
#include "../../tests/system/programs/address.h"

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    const struct sockaddr_in any = address_of("0.0.0.0", argv[1]);
    if (bind(fd, (const struct sockaddr*)&any, sizeof any) != 0) {
        perror("bind");
        return 1;
    }
    pause();
    return 0;
}
