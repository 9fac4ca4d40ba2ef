// The main thread ends and leaves a zombie; another lives on. To each line on standard input that one sends a datagram,
// from a socket that was open before and from a fresh one, and answers "sent".
//   zombie_leader IPV4 PORT
#define _GNU_SOURCE
#include <pthread.h>

#include "address.h"

static struct sockaddr_in to;

static void* live_on(void* unused) {
    (void)unused;
    const int old = socket(AF_INET, SOCK_DGRAM, 0);
    const struct sockaddr_in any = {.sin_family = AF_INET};
    if (bind(old, (const struct sockaddr*)&any, sizeof any) != 0) exit(1);
    puts("ready");
    fflush(stdout);
    for (char line[16]; fgets(line, sizeof line, stdin) != NULL;) {
        send_word(&to, "fresh");
        sendto(old, "old", 3, 0, (struct sockaddr*)&to, sizeof to);
        puts("sent");
        fflush(stdout);
    }
    exit(0);
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    to = address_of(argv[1], argv[2]);
    pthread_t thread;
    pthread_create(&thread, NULL, live_on, NULL);
    pthread_exit(NULL);
}
