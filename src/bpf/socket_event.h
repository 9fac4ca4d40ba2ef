/* What the hooks in the kernel (socket_hooks.bpf.c) report to tracedump through a ring buffer. C, BPF C and C++. */
#ifndef TRACEDUMP_BPF_SOCKET_EVENT_H
#define TRACEDUMP_BPF_SOCKET_EVENT_H

#include <linux/types.h>

enum socket_event_kind {
    SOCKET_BOUND,     /* the program has bound it */
    SOCKET_HAS_PORT,  /* the kernel has chosen its port: it listens, or is about to send */
    SOCKET_CONNECTS,  /* TCP: its SYN is about to be sent */
    SOCKET_UNBOUND,   /* UDP: the port that it had is given up */
    SOCKET_RELEASED,  /* UDP, and TCP that never connected: the last descriptor is closed */
    SOCKET_SUCCEEDED, /* UDP: this one, no socket of the application, sends from a port that one has just given up */
    SOCKET_FINISHED,  /* TCP: its connection is over, or was refused; TIME_WAIT may follow */
    SOCKET_GIVEN_UP,  /* TCP: it connected and had no answer; the SYN may still wait for its neighbour's address */
    SOCKET_SUSPECTED, /* sends while a traced process runs, and may have been given to it */
    SOCKET_MULTIPATH, /* Multipath TCP: made; the kernel makes flows for it, which are sockets of their own */
    SOCKET_ABROAD,    /* in a network namespace that is not captured: its thread waits to be stopped */
};

/* Who uses a socket; where the kernel does not tell, who was last seen to. */
struct socket_user {
    __u32 pid; /* 0: not known */
    __u32 tid;
    char command[16]; /* of the thread (comm in proc(5)) */
};

struct socket_event {
    __u64 time;    /* ns of CLOCK_MONOTONIC (bpf_ktime_get_ns in bpf-helpers(7)) */
    __u64 cookie;  /* SO_COOKIE (socket(7)) */
    __u64 network; /* SO_NETNS_COOKIE: the socket's network namespace */
    struct socket_user user;
    __u32 kind; /* enum socket_event_kind */
    __u16 family;
    __u16 protocol;
    __u32 local_address[4]; /* network byte order; of AF_INET the first word, an IPv4-mapped one is AF_INET6 */
    __u32 remote_address[4];
    __u16 local_port; /* host byte order */
    __u16 remote_port;
    __u32 padding;
};

/* The processes by id, as memory that both have mapped, two bits each: to ask costs a load, for all the host's
 * processes alike. */
#define PROCESS_IDS (1 << 22) /* PID_MAX_LIMIT of include/linux/threads.h */
#define PROCESSES_A_BYTE 4
enum {
    PROCESS_TRACED = 1,
    PROCESS_GETS_GIFTS = 2, /* sockets may be given to it */
    PROCESS_FLAGS = 3,      /* all of them */
};
struct process_table {
    __u8 flags[PROCESS_IDS / PROCESSES_A_BYTE];
};
static inline __u32 flags_shift(__u32 pid) { return pid % PROCESSES_A_BYTE * 2; }

/* What the hooks know of a socket of the application: of TCP until it connects or is released, of UDP until it is
 * released. */
struct known_socket {
    __u64 network;
    struct socket_user user;
    __u16 port; /* that was reported; 0: none */
    __u8 padding[6];
};

/* Threads that wait in a hook find the answer here, by tid: the time of the event that it answers. Two that share a
 * place would have to wait within the same microsecond; then one waits in vain. */
#define ANSWERS 1024

/* What the hooks count, as memory that both have mapped. */
struct hook_counts {
    __u64 lost;   /* events that found the ring buffer full, or sockets that found no room to be known */
    __u64 unseen; /* sockets that sent before their network was captured */
};

#endif
