// Makes children that ask not to be traced (CLONE_UNTRACED): as fork does, as vfork does, and as a thread; each sends
// datagrams from sockets of its own, and one executes another program. It says whether a register of the call, which
// system calls preserve, still holds the flags, in parent and child.
//   untraced_child IPV4 PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in to;

static void talk(const char* what) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (sendto(fd, what, strlen(what), 0, (struct sockaddr*)&to, sizeof to) < 0)
        printf("%s: %s\n", what, strerror(errno));
    const int tcp = socket(AF_INET, SOCK_STREAM, 0);
    const int result = connect(tcp, (struct sockaddr*)&to, sizeof to);
    printf("%s: connect: %s\n", what, result == 0 ? "ok" : strerror(errno));
    fflush(stdout);
    close(tcp);
    close(fd);
}

static int as_thread(void* argument) {
    (void)argument;
    talk("thread");
    return 0;
}

// The raw call; `kept` tells what the flags' register holds afterwards.
static long raw_clone(unsigned long flags, unsigned long* kept) {
#if defined(__x86_64__)
    long result;
    unsigned long first = flags;
    register long r10 __asm__("r10") = 0;
    register long r8 __asm__("r8") = 0;
    __asm__ volatile("syscall"
                     : "=a"(result), "+D"(first)
                     : "a"((long)SYS_clone), "S"(0L), "d"(0L), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    *kept = first;
    return result;
#else
    *kept = flags;
    return syscall(SYS_clone, flags, 0, 0, 0, 0);
#endif
}

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short)atoi(argv[2]));
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    int status = 0;

    for (int round = 0; round < 20; ++round) {
        const unsigned long flags = CLONE_UNTRACED | SIGCHLD;
        unsigned long kept = 0;
        const long child = raw_clone(flags, &kept);
        if (child == 0) {
            if (round == 0) talk("forked");
            if (kept != flags) printf("the child's register holds %lx\n", kept);
            fflush(stdout);
            if (round == 1) execl("/bin/true", "true", NULL);
            _exit(kept == flags ? 0 : 1);
        }
        if (kept != flags) printf("the parent's register holds %lx\n", kept);
        waitpid((pid_t)child, &status, 0);
        if (status != 0) printf("round %d: child's status %x\n", round, status);
    }

    char* stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int vforked = clone(as_thread, stack + (1 << 16), CLONE_UNTRACED | CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    waitpid(vforked, &status, 0);
    printf("vforked: status %x\n", status);
    // Shares nothing of the C library's per-thread memory here: the main thread waits.
    pid_t gone = 1;
    clone(as_thread, stack + (1 << 16),
          CLONE_UNTRACED | CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
              CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
          NULL, &gone, NULL, &gone);
    while (__atomic_load_n(&gone, __ATOMIC_ACQUIRE) != 0) usleep(1000);
    printf("ended\n");
    return 0;
}
