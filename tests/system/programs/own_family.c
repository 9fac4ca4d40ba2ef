// Children as wait(2) tells of them: in which order, with which statuses, how soon after their end; a child of
// clone(2) that announces its end by no signal; one that stops itself first thing; daemons that fork twice.
//   own_family COUNT
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
    const int count = argc > 1 ? atoi(argv[1]) : 1;
    int wrong = 0, status = 0;
    for (int i = 0; i < count; ++i) {
        const pid_t child = fork();
        if (child == 0) _exit(i % 256);
        wrong += waitpid(-1, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != i % 256;
    }
    printf("%d wrong statuses\n", wrong);

    const long silent = syscall(SYS_clone, 0, 0, 0, 0, 0);  // no signal: wait(2) needs __WCLONE or __WALL
    if (silent == 0) _exit(9);
    printf("%s, ", waitpid((pid_t)silent, &status, 0) < 0 && errno == ECHILD ? "not seen" : "seen");
    printf("%s\n", waitpid((pid_t)silent, &status, __WCLONE) == silent && WEXITSTATUS(status) == 9 ? "reaped" : "lost");
    fflush(stdout);

    const pid_t stopping = fork();
    if (stopping == 0) {
        raise(SIGSTOP);
        _exit(6);
    }
    waitpid(stopping, &status, WUNTRACED);
    printf("%s\n", WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP ? "stopped" : "not stopped");
    kill(stopping, SIGCONT);
    waitpid(stopping, &status, 0);
    printf("exited with %d\n", WEXITSTATUS(status));

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const pid_t first = fork();
    if (first == 0) {
        setsid();
        if (fork() == 0) _exit(4);
        _exit(3);
    }
    waitpid(first, &status, 0);
    printf("first %d\n", WEXITSTATUS(status));
    wait(&status);
    printf("second %d\n", WEXITSTATUS(status));
    printf("then %s\n", wait(&status) < 0 && errno == ECHILD ? "none" : "another");
    return 0;
}
