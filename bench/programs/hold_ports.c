// Holds so many UDP sockets on odd ports, no two side by side, in as many processes as descriptors take; prints their
// ids, and ends when its standard input does.
//   hold_ports COUNT
#define _GNU_SOURCE
#include "../../tests/system/programs/address.h"

#include <signal.h>
#include <sys/prctl.h>

enum { FIRST_PORT = 1025, OF_A_PROCESS = 10000 };

static void hold(int first, int end, int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct sockaddr_in any = {.sin_family = AF_INET};
    for (int i = first; i < end; ++i) {
        const int fd = socket(AF_INET, SOCK_DGRAM, 0);
        any.sin_port = htons((unsigned short)(FIRST_PORT + 2 * i));
        if (fd < 0 || bind(fd, (const struct sockaddr*)&any, sizeof any) != 0) {
            perror("socket, bind");
            _exit(1);
        }
    }
    if (write(ready, "", 1) == 1) pause();
    _exit(1);
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const int count = atoi(argv[1]);
    int first = 0;
    do {
        const int end = first + OF_A_PROCESS < count ? first + OF_A_PROCESS : count;
        int ready[2];
        if (pipe(ready) != 0) return 1;
        const pid_t holder = fork();
        if (holder == 0) hold(first, end, ready[1]);
        close(ready[1]);
        char done;
        if (holder < 0 || read(ready[0], &done, 1) != 1) return 1;
        close(ready[0]);
        printf("%d ", (int)holder);
        first = end;
    } while (first < count);
    printf("ready\n");
    fflush(stdout);
    getchar();
    return 0;
}
