// Waits in epoll_wait(2) while a child sends it signals, and says how each wait ended. Untraced, a signal that is
// ignored ends none.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void handler(int signal) { (void)signal; }

/// Until the parent is in epoll_wait: its number comes first in /proc/PID/syscall.
static void await_waiting(pid_t pid) {
    char path[64], text[16];
    snprintf(path, sizeof path, "/proc/%d/syscall", pid);
    for (;;) {
        int fd = open(path, O_RDONLY);
        ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
        close(fd);
        if (length > 0 && (strncmp(text, "232 ", 4) == 0 || strncmp(text, "281 ", 4) == 0)) return;
        usleep(1000);
    }
}

static void wait_through(int signal, const char* what, int timeout) {
    int epoll = epoll_create1(0), event = eventfd(0, 0);
    struct epoll_event ready = {.events = EPOLLIN};
    epoll_ctl(epoll, EPOLL_CTL_ADD, event, &ready);
    fflush(stdout);
    const pid_t parent = getpid(), child = fork();
    if (child == 0) {
        await_waiting(parent);
        if (signal != SIGCHLD) kill(parent, signal);
        if (signal == SIGCHLD && fork() != 0) _exit(0);
        usleep(50000);  // an interrupted wait ends before what follows
        if (timeout < 0) eventfd_write(event, 1);
        _exit(0);
    }
    const int result = epoll_wait(epoll, &ready, 1, timeout);
    printf("%s: %s\n", what, result < 0 ? strerror(errno) : result == 0 ? "timed out" : "woken");
    waitpid(child, NULL, 0);
}

int main(void) {
    struct sigaction caught = {.sa_handler = handler}, restarting = {.sa_handler = handler, .sa_flags = SA_RESTART};
    wait_through(SIGWINCH, "SIGWINCH, by default ignored", -1);
    wait_through(SIGURG, "SIGURG, by default ignored", -1);
    wait_through(SIGCHLD, "SIGCHLD, by default ignored", -1);
    wait_through(SIGCONT, "SIGCONT, by default ignored", -1);
    signal(SIGUSR1, SIG_IGN);
    wait_through(SIGUSR1, "SIGUSR1, ignored", -1);
    wait_through(SIGUSR1, "SIGUSR1, ignored, with a timeout", 300);
    sigaction(SIGUSR1, &caught, NULL);
    wait_through(SIGUSR1, "SIGUSR1, caught", -1);
    sigaction(SIGUSR2, &restarting, NULL);
    wait_through(SIGUSR2, "SIGUSR2, caught with SA_RESTART", -1);
    return 0;
}
