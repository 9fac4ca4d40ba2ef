// A thread that is not the leader, one of several, executes this program anew; that then sends datagrams and connects.
//   thread_exec IPV4 PORT [TIMES]
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>

#include "address.h"

static char** arguments;
static struct sockaddr_in to;

static void* talk_on(void* unused) {
    (void)unused;
    send_word(&to, "thread");
    for (;;) pause();
    return NULL;
}

static void* execute(void* unused) {
    (void)unused;
    send_word(&to, "before");
    execv("/proc/self/exe", arguments);
    perror("execv");
    exit(1);
}

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    to = address_of(argv[1], argv[2]);
    const int times = argc > 3 ? atoi(argv[3]) : 20;
    send_word(&to, "after");
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&to, sizeof to) != 0) {
        perror("connect");
        return 1;
    }
    const struct linger at_once = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
    if (times == 0) {
        puts("done");
        return 0;
    }
    char fewer[16];
    snprintf(fewer, sizeof fewer, "%d", times - 1);
    arguments = (char*[]){argv[0], argv[1], argv[2], fewer, NULL};
    pthread_t thread;
    for (int i = 0; i < 5; ++i) pthread_create(&thread, NULL, talk_on, NULL);
    pthread_create(&thread, NULL, execute, NULL);
    for (;;) pause();
}
