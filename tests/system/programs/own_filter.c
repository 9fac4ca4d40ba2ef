// Installs seccomp filters of its own, one in each child, and says what connect(2) makes of them.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_sys(int signal) {
    static const char text[] = "SIGSYS\n";
    (void)signal;
    if (write(1, text, sizeof text - 1) < 0) _exit(1);
}

static void try(const char* name, unsigned action, unsigned flags) {
    printf("%s: ", name);
    fflush(stdout);
    if (fork() == 0) {
        struct sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
                                       BPF_STMT(BPF_RET | BPF_K, action), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
        struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0x7f000001)};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0) {
            printf("seccomp: %s\n", strerror(errno));
        } else {
            int result = connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr*)&nobody, sizeof nobody);
            printf("%d %s\n", result, strerror(errno));
        }
        fflush(stdout);
        _exit(0);
    }
    int status;
    wait(&status);
    if (WIFSIGNALED(status)) printf("killed by %d\n", WTERMSIG(status));
}

// A process that decides for its child what connect returns.
static void try_listener(void) {
    printf("listener: ");
    fflush(stdout);
    int channel[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, channel) != 0) return;
    const pid_t child = fork();
    if (child == 0) {
        struct sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                                       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_connect, 0, 1),
                                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                                       BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
        if (write(channel[1], &listener, sizeof listener) != sizeof listener) _exit(1);
        struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0x7f000001)};
        int result = connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr*)&nobody, sizeof nobody);
        printf("%d %s\n", result, strerror(errno));
        fflush(stdout);
        _exit(0);
    }
    int theirs = -1;
    if (read(channel[0], &theirs, sizeof theirs) != sizeof theirs) return;
    int listener = (int)syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, child, 0), theirs, 0);
    struct seccomp_notif asked = {0};
    struct seccomp_notif_resp answer = {0};
    if (listener < 0 || ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) {
        printf("no notification: %s\n", strerror(errno));
        return;
    }
    answer.id = asked.id;
    answer.error = -ENETDOWN;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    wait(NULL);
}

int main(void) {
    signal(SIGSYS, on_sys);
    try("allow", SECCOMP_RET_ALLOW, 0);
    try("log", SECCOMP_RET_LOG, 0);
    try("trace", SECCOMP_RET_TRACE | 0x1234, 0);
    try("errno", SECCOMP_RET_ERRNO | EXDEV, 0);
    try("trap", SECCOMP_RET_TRAP, 0);
    try("kill", SECCOMP_RET_KILL_PROCESS, 0);
    try("all threads", SECCOMP_RET_ERRNO | EXDEV, SECCOMP_FILTER_FLAG_TSYNC);
    try_listener();
    return 0;
}
