// A thread that has a table of descriptors of its own (unshare(2), CLONE_FILES), with sockets under numbers that other
// sockets, or none, have in the leader's. It says "ready" when each has one open, and on a line on standard input
// both send on that one, and from new ones.
//   unshared_files IPV4 PORT
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "address.h"

static struct sockaddr_in to;
static pthread_barrier_t opened;

static void* talk(void* unused) {
    (void)unused;
    char line[16];
    if (unshare(CLONE_FILES) != 0) return "unshare";
    const int early = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(early, (struct sockaddr*)&to, sizeof to) != 0) return "connect";
    pthread_barrier_wait(&opened);
    if (!fgets(line, sizeof line, stdin)) return "no line";
    if (write(early, "its early", 9) != 9 || !send_word(&to, "own")) return "send";
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(tcp, (struct sockaddr*)&to, sizeof to) != 0) return "connect TCP";
    const struct linger at_once = {1, 0};
    setsockopt(tcp, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(tcp);
    return NULL;
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    to = address_of(argv[1], argv[2]);
    pthread_t thread;
    pthread_barrier_init(&opened, NULL, 2);
    pthread_create(&thread, NULL, talk, NULL);
    void* failed = NULL;
    const int early = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(early, (struct sockaddr*)&to, sizeof to) != 0) failed = "connect";
    pthread_barrier_wait(&opened);
    puts("ready");
    fflush(stdout);
    if (!failed) pthread_join(thread, &failed);
    if (!failed && (write(early, "early", 5) != 5 || !send_word(&to, "leader"))) failed = "send by the leader";
    puts(failed ? failed : "sent");
    return failed != NULL;
}
