// Queues real-time signals with values to a child of its own, which counts them and says if one is missing, or comes in
// the wrong order. Prints "ready CHILD", begins when a line comes, and ends when all have arrived.
//   queued_signals COUNT
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t arrived, wrong;

static void on_signal(int number, siginfo_t* info, void* context) {
    (void)number;
    (void)context;
    if (info->si_value.sival_int != arrived) ++wrong;
    ++arrived;
}

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const int count = atoi(argv[1]);
    int go[2];
    if (pipe(go) != 0) return 1;
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGRTMIN, &action, NULL);
    const pid_t child = fork();
    if (child == 0) {
        close(go[1]);
        char byte;
        while (arrived < count && read(go[0], &byte, 1) > 0) continue;
        printf("%d arrived, %d wrong\n", (int)arrived, (int)wrong);
        return 0;
    }
    close(go[0]);
    printf("ready %d\n", child);
    fflush(stdout);
    if (getchar() == EOF) return 1;
    for (int i = 0; i < count; ++i) {
        const union sigval value = {.sival_int = i};
        while (sigqueue(child, SIGRTMIN, value) != 0) {
            if (errno != EAGAIN) return 1;
            usleep(100);  // the queue is full
        }
        if (i % 10 == 0) usleep(100);
    }
    // The pipe's end wakes it, in case the last one came just before its read.
    close(go[1]);
    int status = 0;
    waitpid(child, &status, 0);
    return status != 0;
}
