// What a parent sees of a child that is stopped and continued: by wait(2), by the child's CPU time, by its answer. The
// child has several threads that never rest.
//   stopped_children
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void* never_rest(void* unused) {
    (void)unused;
    for (volatile long i = 0;; ++i) {
    }
    return NULL;
}

// In clock ticks, of all its threads.
static long cpu_time(pid_t pid) {
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE* file = fopen(path, "r");
    const char* end = file && fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    if (file) fclose(file);
    if (end) sscanf(end + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (long)(user + system);
}

static void await_progress(pid_t child) {
    for (const long before = cpu_time(child); cpu_time(child) < before + 3;) usleep(1000);
}

static const char* next_change(pid_t child) {
    static char text[64];
    int status = 0;
    if (waitpid(child, &status, WUNTRACED | WCONTINUED) != child) return "no child";
    if (WIFSTOPPED(status))
        snprintf(text, sizeof text, "stopped by %d", WSTOPSIG(status));
    else if (WIFCONTINUED(status))
        snprintf(text, sizeof text, "continued");
    else if (WIFSIGNALED(status))
        snprintf(text, sizeof text, "killed by %d", WTERMSIG(status));
    else
        snprintf(text, sizeof text, "exited with %d", WEXITSTATUS(status));
    return text;
}

int main(void) {
    const pid_t child = fork();
    // A group of its own, whose leader has its parent in another: SIGTSTP does not stop an orphaned group, which that
    // of the test may be.
    setpgid(child, 0);
    if (child == 0) {
        pthread_t thread;
        for (int i = 0; i < 3; ++i) pthread_create(&thread, NULL, never_rest, NULL);
        never_rest(NULL);
    }
    for (int round = 0; round < 3; ++round) {
        await_progress(child);
        kill(child, round == 2 ? SIGTSTP : SIGSTOP);
        printf("%s\n", next_change(child));
        const long before = cpu_time(child);
        // Another process at work for some ticks is the measure of time here.
        const pid_t clock = fork();
        if (clock == 0) never_rest(NULL);
        await_progress(clock);
        kill(clock, SIGKILL);
        waitpid(clock, NULL, 0);
        printf("%s\n", cpu_time(child) - before <= 1 ? "rests" : "does not rest");
        kill(child, SIGCONT);
        printf("%s\n", next_change(child));
        await_progress(child);
    }
    // A thousand stops and ends of stops, as fast as they go: the last word is the last SIGCONT.
    for (int i = 0; i < 1000; ++i) {
        kill(child, SIGSTOP);
        kill(child, SIGCONT);
    }
    await_progress(child);
    puts("runs");
    kill(child, SIGTERM);
    const char* change;
    do change = next_change(child);
    while (strncmp(change, "killed", 6) != 0);
    puts(change);
    return 0;
}
