// Processes that each wait in one blocking system call that nothing will end. To each line on standard input it answers
// how many wait still; a call that returned says so, once, with its error. Prints "ready PID..." first.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONG = 600 };  // seconds: nobody waits for the end of it

static int pipe_ends[2], pair[2], listener, full_listener, semaphores, queue;
static struct sockaddr_in full;
static char byte;
static const char* const lock_one = "blocked-calls-lock-1";
static const char* const lock_two = "blocked-calls-lock-2";

static const struct timespec a_long_time = {LONG, 0};
static const struct timeval a_long_timeout = {LONG, 0};

static sigset_t usr2_blocked(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return set;
}

static long in_epoll_wait(void) {
    struct epoll_event event;
    return epoll_wait(epoll_create1(0), &event, 1, -1);
}
static long in_epoll_wait_long(void) {
    struct epoll_event event;
    return epoll_wait(epoll_create1(0), &event, 1, LONG * 1000);
}
static long in_poll(void) { return poll(NULL, 0, -1); }
static long in_poll_long(void) { return poll(NULL, 0, LONG * 1000); }
static long in_ppoll(void) { return ppoll(NULL, 0, &a_long_time, NULL); }
static long in_select(void) { return select(0, NULL, NULL, NULL, NULL); }
static long in_nanosleep(void) { return nanosleep(&a_long_time, NULL); }
static long in_pause(void) { return pause(); }
static long in_sigtimedwait(void) {
    const sigset_t set = usr2_blocked();
    return sigtimedwait(&set, NULL, &a_long_time);
}
static long in_sigwaitinfo(void) {
    const sigset_t set = usr2_blocked();
    return sigwaitinfo(&set, NULL);
}
static long in_sigsuspend(void) {
    sigset_t set;
    sigemptyset(&set);
    return sigsuspend(&set);
}
static long in_recv(void) { return recv(pair[0], &byte, 1, 0); }
static long in_recv_long(void) {
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &a_long_timeout, sizeof a_long_timeout);
    return recv(pair[0], &byte, 1, 0);
}
static long in_accept(void) { return accept(listener, NULL, NULL); }
static long in_accept_long(void) {
    setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &a_long_timeout, sizeof a_long_timeout);
    return accept(listener, NULL, NULL);
}
static long in_connect(void) {
    return connect(socket(AF_INET, SOCK_STREAM, 0), (const struct sockaddr*)&full, sizeof full);
}
static long in_connect_long(void) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &a_long_timeout, sizeof a_long_timeout);
    return connect(fd, (const struct sockaddr*)&full, sizeof full);
}
static long in_futex(void) {
    static int word;
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
}
static long in_futex_long(void) {
    static int word;
    return syscall(SYS_futex, &word, FUTEX_WAIT, 0, &a_long_time, NULL, 0);
}
static long in_semop(void) {
    struct sembuf down = {0, -1, 0};
    return semop(semaphores, &down, 1);
}
static long in_msgrcv(void) {
    struct {
        long type;
        char text[8];
    } message;
    return msgrcv(queue, &message, sizeof message.text, 0, 0);
}
static long in_io_getevents(void) {
    aio_context_t context = 0;
    struct io_event event;
    syscall(SYS_io_setup, 4, &context);
    return syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
}
static long in_io_uring_enter(void) {
    struct io_uring_params parameters = {0};
    const long ring = syscall(SYS_io_uring_setup, 4, &parameters);
    return syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}
static long in_waitpid(void) {
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    return waitpid(child, NULL, 0);
}
static long in_vfork(void) {
    if (vfork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) pause();
    }
    return 0;
}
static long in_pipe(void) { return read(pipe_ends[0], &byte, 1); }
static long in_inotify(void) {
    char events[256];
    return read(inotify_init(), events, sizeof events);
}
static long in_eventfd(void) {
    uint64_t count;
    return read(eventfd(0, 0), &count, sizeof count);
}
static long in_signalfd(void) {
    const sigset_t set = usr2_blocked();
    struct signalfd_siginfo info;
    return read(signalfd(-1, &set, 0), &info, sizeof info);
}
static long in_timerfd(void) {
    uint64_t count;
    return read(timerfd_create(CLOCK_MONOTONIC, 0), &count, sizeof count);
}
static long in_flock(void) { return flock(open(lock_one, O_RDWR), LOCK_EX); }
static long in_setlkw(void) {
    struct flock whole = {.l_type = F_WRLCK};
    return fcntl(open(lock_two, O_RDWR), F_SETLKW, &whole);
}

static const struct {
    const char* name;
    long (*wait)(void);
} calls[] = {{"epoll_wait", in_epoll_wait},
             {"epoll_wait with a timeout", in_epoll_wait_long},
             {"poll", in_poll},
             {"poll with a timeout", in_poll_long},
             {"ppoll", in_ppoll},
             {"select", in_select},
             {"nanosleep", in_nanosleep},
             {"pause", in_pause},
             {"sigtimedwait", in_sigtimedwait},
             {"sigwaitinfo", in_sigwaitinfo},
             {"sigsuspend", in_sigsuspend},
             {"recv", in_recv},
             {"recv with a timeout", in_recv_long},
             {"accept", in_accept},
             {"accept with a timeout", in_accept_long},
             {"connect", in_connect},
             {"connect with a timeout", in_connect_long},
             {"futex", in_futex},
             {"futex with a timeout", in_futex_long},
             {"semop", in_semop},
             {"msgrcv", in_msgrcv},
             {"io_getevents", in_io_getevents},
             {"io_uring_enter", in_io_uring_enter},
             {"waitpid", in_waitpid},
             {"vfork", in_vfork},
             {"read of a pipe", in_pipe},
             {"read of inotify", in_inotify},
             {"read of an eventfd", in_eventfd},
             {"read of a signalfd", in_signalfd},
             {"read of a timerfd", in_timerfd},
             {"flock", in_flock},
             {"fcntl F_SETLKW", in_setlkw}};
enum { CALLS = sizeof calls / sizeof *calls };

static void prepare(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr*)&here, sizeof here);
    listen(listener, 5);
    // A listener whose backlog is full answers no SYN.
    full_listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(full_listener, (struct sockaddr*)&here, sizeof here);
    listen(full_listener, 0);
    socklen_t length = sizeof full;
    getsockname(full_listener, (struct sockaddr*)&full, &length);
    for (int i = 0; i < 4; ++i)
        connect(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), (struct sockaddr*)&full, sizeof full);
    if (pipe(pipe_ends) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) exit(1);
    semaphores = semget(IPC_PRIVATE, 1, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    flock(open(lock_one, O_RDWR | O_CREAT, 0600), LOCK_EX);
    struct flock whole = {.l_type = F_WRLCK};
    fcntl(open(lock_two, O_RDWR | O_CREAT, 0600), F_SETLKW, &whole);
}

static int sleeps(pid_t pid) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE* file = fopen(path, "r");
    const char* read = file ? fgets(line, sizeof line, file) : NULL;
    if (file) fclose(file);
    const char* state = read ? strrchr(line, ')') : NULL;
    return state && strchr("SD", state[2]) != NULL;
}

int main(void) {
    pid_t children[CALLS];
    prepare();
    for (int i = 0; i < CALLS; ++i) {
        children[i] = fork();
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            errno = 0;
            const long result = calls[i].wait();
            printf("%s returned %ld: %s\n", calls[i].name, result, strerror(errno));
            fflush(stdout);
            _exit(0);
        }
    }
    for (int i = 0; i < CALLS; ++i)
        while (!sleeps(children[i])) usleep(1000);
    printf("ready");
    for (int i = 0; i < CALLS; ++i) printf(" %d", children[i]);
    printf("\n");
    fflush(stdout);

    for (char line[16]; fgets(line, sizeof line, stdin) != NULL;) {
        int waiting = 0;
        for (int i = 0; i < CALLS; ++i) waiting += waitpid(children[i], NULL, WNOHANG) == 0;
        printf("%d of %d wait\n", waiting, CALLS);
        fflush(stdout);
    }
    for (int i = 0; i < CALLS; ++i) kill(children[i], SIGKILL);
    semctl(semaphores, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, NULL);
    unlink(lock_one);
    unlink(lock_two);
    return 0;
}
