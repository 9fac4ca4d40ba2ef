// Prints what a program inherits: arguments, directory, umask, signal mask and dispositions, descriptors, process
// group and session relations, limits.
#define _GNU_SOURCE
#include <dirent.h>
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

    sigset_t blocked;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int number = 1; number < 65; ++number) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0) continue;
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
    printf("group leader %d, session leader %d\n", getpgrp() == getpid(), getsid(0) == getpid());
    return 0;
}
