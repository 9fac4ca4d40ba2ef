// Signals that a tracer could take for its own, or lose: SIGTRAP by raise and by a breakpoint, a thousand real-time
// signals with values, a stop and a continue by itself. Says what arrived.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int traps, values, in_order = 1, continued;

static void on_trap(int signal) {
    (void)signal;
    ++traps;
}

static void on_value(int signal, siginfo_t* info, void* context) {
    (void)signal, (void)context;
    in_order = in_order && info->si_code == SI_QUEUE && info->si_value.sival_int == values;
    ++values;
}

static void on_continue(int signal) {
    (void)signal;
    ++continued;
}

int main(void) {
    struct sigaction value = {.sa_sigaction = on_value, .sa_flags = SA_SIGINFO};
    signal(SIGTRAP, on_trap);
    signal(SIGCONT, on_continue);
    sigaction(SIGRTMIN + 3, &value, NULL);
    raise(SIGTRAP);
#if defined(__x86_64__)
    __asm__ volatile("int3");
#else
    raise(SIGTRAP);
#endif
    kill(getpid(), SIGTRAP);
    printf("%d traps\n", traps);
    for (int i = 0; i < 1000; ++i) sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i});
    printf("%d values, %s\n", values, in_order ? "in order" : "out of order");
    fflush(stdout);

    int go_on[2];
    if (pipe(go_on) != 0) return 1;
    const pid_t child = fork();
    if (child == 0) {
        char byte;
        close(go_on[1]);
        raise(SIGSTOP);
        _exit(read(go_on[0], &byte, 1) == 0 && continued == 1 ? 7 : 8);
    }
    int status = 0;
    for (int i = 0; i < 3; ++i) {
        waitpid(child, &status, WUNTRACED | WCONTINUED);
        if (WIFSTOPPED(status)) {
            printf("stopped by %d\n", WSTOPSIG(status));
            kill(child, SIGCONT);
        } else if (WIFCONTINUED(status)) {
            puts("continued");
            close(go_on[1]);
        } else {
            printf("exited %d\n", WEXITSTATUS(status));
            break;
        }
    }
    return 5;
}
