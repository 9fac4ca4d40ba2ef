// Prints what a program inherits: arguments, directory, umask, signal mask, pending signals and dispositions,
// descriptors, limits, CPUs, the score for when memory runs out, process group and session relations.
#define _GNU_SOURCE
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv) {
    for (int i = 0; i < argc; ++i) printf("argument %s\n", argv[i]);
    char* directory = getcwd(NULL, 0);
    printf("directory %s, umask %o, nice %d\n", directory, umask(0), getpriority(PRIO_PROCESS, 0));
    free(directory);

    sigset_t blocked, pending;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    sigpending(&pending);
    for (int number = 1; number < 65; ++number) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue;
        if (sigismember(&pending, number)) printf("signal %d pending\n", number);
        if (sigismember(&blocked, number)) printf("signal %d blocked\n", number);
        if (action.sa_handler == SIG_IGN) printf("signal %d ignored\n", number);
    }
    DIR* descriptors = opendir("/proc/self/fd");
    for (struct dirent* entry; (entry = readdir(descriptors));)
        if (atoi(entry->d_name) != dirfd(descriptors)) printf("descriptor %s\n", entry->d_name);
    closedir(descriptors);

    for (int resource = 0; resource < RLIMIT_NLIMITS; ++resource) {
        struct rlimit limit;
        getrlimit(resource, &limit);
        printf("limit %d: %lu %lu\n", resource, limit.rlim_cur, limit.rlim_max);
    }
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &cpus)) printf("CPU %d\n", cpu);
    char score[16] = "";
    FILE* file = fopen("/proc/self/oom_score_adj", "r");
    if (!file || !fgets(score, sizeof score, file)) return 1;
    fclose(file);
    printf("score %s", score);
    printf("group leader %d, session leader %d\n", getpgrp() == getpid(), getsid(0) == getpid());
    return 0;
}
