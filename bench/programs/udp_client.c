// Sends datagrams, each from a socket of its own, at once or so many a second; then says how long that took.
//   udp_client ADDRESS PORT DATAGRAMS [DATAGRAMS_A_SECOND]
#include "../../tests/system/programs/address.h"
#include "stopwatch.h"

int main(int argc, char** argv) {
    if (argc < 4) return 2;
    const struct sockaddr_in to = address_of(argv[1], argv[2]);
    const long datagrams = atol(argv[3]);
    const double rate = argc > 4 ? atof(argv[4]) : 0;
    const double began = seconds_now();
    for (long sent = 0; sent < datagrams; ++sent) {
        if (rate > 0 && sent % 64 == 0) sleep_until(began + (double)sent / rate);
        if (!send_word(&to, "word")) {
            perror("sendto");
            return 1;
        }
    }
    printf("%.6f\n", seconds_now() - began);
    return 0;
}
