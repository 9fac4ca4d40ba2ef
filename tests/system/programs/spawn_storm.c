// Children by vfork(2) and posix_spawn(3), and a sibling by CLONE_PARENT. The vfork children send a datagram while they
// borrow their parent's memory, and then execute true; every other one does not execute anything.
//   spawn_storm IPV4 PORT COUNT
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "address.h"

extern char** environ;

static int ended_well(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && status == 0;
}

static char* truth[] = {"true", NULL};

static pid_t vforked(const struct sockaddr_in* to, int executes) {
    const pid_t child = vfork();
    if (child == 0) {
        send_word(to, "vforked");
        if (executes) execv("/bin/true", truth);
        _exit(executes);
    }
    return child;
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    const struct sockaddr_in to = address_of(argv[1], argv[2]);
    for (int i = 0; i < atoi(argv[3]); ++i) {
        if (!ended_well(vforked(&to, i % 2 == 0))) return 1;
        pid_t child = -1;
        if (posix_spawnp(&child, "true", NULL, NULL, truth, environ) != 0 || !ended_well(child)) return 1;
    }
    // Its parent is ours: whoever that is has to reap it.
    const long sibling = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (sibling == 0) {
        send_word(&to, "sibling");
        _exit(0);
    }
    return sibling > 0 ? 0 : 1;
}
