// Chains of threads: each lives for a moment, starts the next one, and ends. Prints "ready"; at the end of its input
// each chain's last thread sends a datagram and the program ends.
//   thread_chains IPV4 PORT CHAINS MICROSECONDS
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>

#include "address.h"

static struct sockaddr_in to;
static int microseconds;
static atomic_int ending, running;
static pthread_attr_t detached;

static void* link_of_chain(void* unused) {
    (void)unused;
    usleep((useconds_t)microseconds);
    pthread_t next;
    if (atomic_load(&ending)) {
        send_word(&to, "last");
        atomic_fetch_sub(&running, 1);
    } else {
        while (pthread_create(&next, &detached, link_of_chain, NULL) != 0) usleep(1000);
    }
    return NULL;
}

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    to = address_of(argv[1], argv[2]);
    microseconds = atoi(argv[4]);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 64 << 10);
    pthread_t first;
    for (int i = 0; i < atoi(argv[3]); ++i)
        if (pthread_create(&first, &detached, link_of_chain, NULL) == 0) atomic_fetch_add(&running, 1);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) continue;
    atomic_store(&ending, 1);
    while (atomic_load(&running) > 0) usleep(1000);
    puts("ended");
    return 0;
}
