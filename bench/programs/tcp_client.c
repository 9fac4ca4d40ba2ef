// Connects to a server and closes again, one connection after the other; then says how long that took.
//   tcp_client ADDRESS PORT CONNECTIONS
#include "../../tests/system/programs/address.h"
#include "stopwatch.h"

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const struct sockaddr_in server = address_of(argv[1], argv[2]);
    const double began = seconds_now();
    for (long left = atol(argv[3]); left > 0; --left) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr*)&server, sizeof server) != 0) {
            perror("connect");
            return 1;
        }
        close(fd);
    }
    printf("%.6f\n", seconds_now() - began);
    return 0;
}
