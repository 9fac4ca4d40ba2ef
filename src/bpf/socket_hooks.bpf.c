// The hooks of the bpf sensor, on the topmost cgroup: small programs that see what the traced processes do with their
// sockets, before the first packet can leave. Each puts the port into the packet filter's table itself, and then
// reports it. They stop nobody, and change nothing: each lets everything happen as it would.
//
//   sock_create        is the network namespace of this socket captured?
//   post_bind4/6       bind(2)
//   connect4/6         TCP: the next SYN of this socket is the application's; UDP: its port, or that it has none yet
//   sockops            TCP: the SYN is about to go, the port is chosen; listen(2); the connection's end
//   sendmsg4/6         UDP: sending to an address; the kernel has just chosen a port if there was none
//   getsockname4/6     UDP: the program learns its port, and may tell somebody
//   egress             UDP: the first packet of a connected socket; of whoever has the port of one that was released.
//                      Any: the first packet of a socket that came to a traced process from elsewhere
//   sock_release       the end of any other
//
// Who acts is told by the current process, where there is one (bpf_get_current_pid_tgid): all these hooks but egress
// run in the context of the system call, or of the io_uring worker of the process. Kernel 5.14 has all that is needed
// here; what came later is left out by `newer_kernel` and `newest_kernel`.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "port_map.h"
#include "socket_event.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { GO_ON = 1 };  // what each of these hooks returns to change nothing

// How long a thread waits for its tracer, which takes 0.1 ms or so.
#define PATIENCE_NS (50 * 1000 * 1000ULL)
#define MAX_ROUNDS (1 << 23)  // BPF_MAX_LOOPS

const volatile __u8 newer_kernel = 1;   // bpf_loop (5.17), bpf_get_netns_cookie in sockops (5.15)
const volatile __u8 newest_kernel = 1;  // the current process in egress and sockops (6.10)
const volatile __u8 latest_kernel = 1;  // the network of a packet in egress (6.16)

// How long a datagram may wait for its neighbour's address after its socket was released, in ns.
const volatile __s64 released_patience = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct process_table);
} processes SEC(".maps");

/// The network namespaces under capture, by cookie.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1 << 12);
    __type(key, __u64);
    __type(value, __u8);
} networks SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, ANSWERS);
    __type(key, __u32);
    __type(value, __u64);
} answers SEC(".maps");

/// Sockets that were reported as suspects, by cookie: once is enough, for some time.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1 << 12);
    __type(key, __u64);
    __type(value, __u8);
} suspects SEC(".maps");

/// Sockets of the application, by cookie: struct known_socket.
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1 << 16);
    __type(key, __u64);
    __type(value, struct known_socket);
} sockets SEC(".maps");

/// By UDP port: the socket of the application that was released there last, and may still have something to send. (Of
/// two in two networks, nobody looks for the first one's successor.) [0], which is no port: the last of all, with time
/// 0 if that is long ago.
struct released_port {
    __u64 network;
    __u64 time;
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PORT_TABLE_PORTS);
    __type(key, __u32);
    __type(value, struct released_port);
} released SEC(".maps");

/// Those that were reported to send from there since, by cookie: the time of the release.
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1 << 12);
    __type(key, __u64);
    __type(value, __u64);
} successors SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 2 << 20);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct hook_counts);
} counts SEC(".maps");

// Reporting.

/// Nobody is woken up for most events: who reads them asks often enough, unless the buffer fills too fast for that.
static __always_inline __u64 wake_up(const struct socket_event* event) {
    const bool urgent = event->kind == SOCKET_ABROAD || event->kind == SOCKET_SUSPECTED ||
                        bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > 1 << 19;
    return urgent ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static __always_inline struct hook_counts* hook_counts(void) {
    const __u32 zero = 0;
    return bpf_map_lookup_elem(&counts, &zero);
}

static __always_inline void count_lost(void) {
    struct hook_counts* count = hook_counts();
    if (count) __sync_fetch_and_add(&count->lost, 1);
}

/// The application sends in a network that is not captured: its tracer was kept from stopping it.
static __always_inline void count_unseen(void) {
    struct hook_counts* count = hook_counts();
    if (count) __sync_fetch_and_add(&count->unseen, 1);
}

static __always_inline void report(struct socket_event* event) {
    event->time = bpf_ktime_get_ns();
    if (bpf_ringbuf_output(&events, event, sizeof *event, wake_up(event)) != 0) count_lost();
}

/// What is known of a process: enum above struct process_table.
static __always_inline __u8 flags_of(__u32 pid) {
    const __u32 zero = 0;
    const struct process_table* table = bpf_map_lookup_elem(&processes, &zero);
    __u64 place = pid / PROCESSES_A_BYTE;
    asm("" : "+r"(place));  // for verifiers: what is compared is what is added
    if (!table || place >= sizeof table->flags) return 0;
    return table->flags[place] >> flags_shift(pid) & PROCESS_FLAGS;
}

/// The event's process is the current one, if that is traced.
static __always_inline bool is_traced(struct socket_event* event) {
    const __u64 current = bpf_get_current_pid_tgid();
    event->user.pid = current >> 32;
    event->user.tid = (__u32)current;
    return flags_of(event->user.pid) & PROCESS_TRACED;
}

static __always_inline bool has_ports(__u32 type, __u32 protocol) {
    if (type == SOCK_STREAM) return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP;
    return type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE);
}

/// From here on its packets pass the filter.
static __always_inline void admit(__u32 protocol, __u16 port) {
    struct port_table* table = port_table();
    if (table) entry_of(table, protocol, port)->born = 1;
}

static __always_inline bool is_admitted(__u32 protocol, __u16 port) {
    struct port_table* table = port_table();
    return table && passes(entry_of(table, protocol, port));
}

static __always_inline void describe(struct socket_event* event, const struct bpf_sock* sk) {
    event->family = sk->family;
    event->protocol = sk->protocol;
    event->local_port = sk->src_port;
    event->remote_port = bpf_ntohs(sk->dst_port);
    if (sk->family == AF_INET) {
        event->local_address[0] = sk->src_ip4;
    } else {
        event->local_address[0] = sk->src_ip6[0];
        event->local_address[1] = sk->src_ip6[1];
        event->local_address[2] = sk->src_ip6[2];
        event->local_address[3] = sk->src_ip6[3];
    }
}

/// Of one that finds no room the end will be missed.
static __always_inline void remember(const struct socket_event* event, __u16 port) {
    const struct known_socket now = {.network = event->network, .user = event->user, .port = port};
    if (bpf_map_update_elem(&sockets, &event->cookie, &now, BPF_ANY) != 0) count_lost();
}

/// A UDP socket of the application has a port that was not reported yet, the one that `event` describes, or with port 0
/// has none.
static __always_inline void note_port(struct socket_event* event) {
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event->cookie);
    const bool had_port = known && known->port != 0;
    remember(event, event->local_port);
    if (event->local_port == 0) {
        if (!had_port) return;
        event->kind = SOCKET_UNBOUND;
    } else {
        admit(event->protocol, event->local_port);
    }
    report(event);
}

/// One of TCP has a port without a connection: its release is worth telling, unless it connects.
static __always_inline void note_tcp_port(const struct socket_event* event) {
    remember(event, event->local_port);
    admit(IPPROTO_TCP, event->local_port);
}

/// A socket of the application may have a port soon, perhaps where a hook is called that does not tell by whom.
static __always_inline void note_unused(const struct socket_event* event) { remember(event, 0); }

static __always_inline bool is_reported(const struct socket_event* event) {
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event->cookie);
    return known && known->port == event->local_port;
}

// A network namespace that is not captured yet.

static long wait_a_little(__u32 round, void* context) {
    (void)round;
    const struct socket_event* event = context;
    const __u32 place = event->user.tid % ANSWERS;
    const __u64* answer = bpf_map_lookup_elem(&answers, &place);
    if (answer && *(volatile __u64*)answer == event->time) return 1;
    return bpf_ktime_get_ns() - event->time > PATIENCE_NS;
}

static __always_inline bool is_captured(const struct socket_event* event) {
    return bpf_map_lookup_elem(&networks, &event->network);
}

/// A process has come here without fork or exec, at which the monitor would have looked where it is. Nothing may leave
/// before somebody listens. No hook may sleep; so this one waits until the thread was asked to stop, as it does when
/// this system call is over. (It cannot wait for the capture itself: to open a packet socket takes an RCU grace period,
/// which waits for this hook.)
static __always_inline void await_capture(const struct socket_event* event) {
    if (is_captured(event)) return;
    struct socket_event abroad = *event;
    abroad.kind = SOCKET_ABROAD;
    report(&abroad);
    if (newer_kernel) bpf_loop(MAX_ROUNDS, wait_a_little, &abroad, 0);
}

SEC("cgroup/sock_create")
int on_create(struct bpf_sock* sk) {
    struct socket_event event = {};
    if (!has_ports(sk->type, sk->protocol) || !is_traced(&event)) return GO_ON;
    event.cookie = bpf_get_socket_cookie(sk);
    event.network = bpf_get_netns_cookie(sk);
    event.family = sk->family;
    event.protocol = sk->protocol;
    await_capture(&event);
    note_unused(&event);
    if (sk->protocol == IPPROTO_MPTCP) {
        event.kind = SOCKET_MULTIPATH;
        report(&event);
    }
    return GO_ON;
}

// Binding.

static __always_inline int on_bind(struct bpf_sock* sk, struct socket_event* event) {
    if (!has_ports(sk->type, sk->protocol) || !is_traced(event)) return GO_ON;
    event->cookie = bpf_get_socket_cookie(sk);
    event->network = bpf_get_netns_cookie(sk);
    event->family = sk->family;
    event->protocol = sk->protocol;
    event->local_port = sk->src_port;
    bpf_get_current_comm(event->user.command, sizeof event->user.command);
    await_capture(event);
    event->kind = SOCKET_BOUND;
    if (sk->protocol != IPPROTO_TCP) {
        if (!is_reported(event)) note_port(event);
        return GO_ON;
    }
    note_tcp_port(event);
    report(event);
    return GO_ON;
}

SEC("cgroup/post_bind4")
int on_bind4(struct bpf_sock* sk) {
    struct socket_event event = {};
    event.local_address[0] = sk->src_ip4;
    return on_bind(sk, &event);
}

SEC("cgroup/post_bind6")
int on_bind6(struct bpf_sock* sk) {
    struct socket_event event = {};
    event.local_address[0] = sk->src_ip6[0];
    event.local_address[1] = sk->src_ip6[1];
    event.local_address[2] = sk->src_ip6[2];
    event.local_address[3] = sk->src_ip6[3];
    return on_bind(sk, &event);
}

// Connecting, sending, asking for the name.

static __always_inline bool is_traced_call(struct bpf_sock_addr* call, struct socket_event* event) {
    if (!call->sk || !has_ports(call->type, call->protocol) || !is_traced(event)) return false;
    event->cookie = bpf_get_socket_cookie(call);
    event->network = bpf_get_netns_cookie(call);
    describe(event, call->sk);
    return true;
}

static __always_inline int on_connect(struct bpf_sock_addr* call) {
    struct socket_event event = {.kind = SOCKET_HAS_PORT};
    if (!is_traced_call(call, &event)) return GO_ON;
    bpf_get_current_comm(event.user.command, sizeof event.user.command);
    if (event.protocol != IPPROTO_TCP) {
        if (is_reported(&event)) return GO_ON;
        await_capture(&event);
        note_port(&event);
        return GO_ON;
    }
    if (!is_captured(&event)) count_unseen();
    if (!bpf_map_lookup_elem(&sockets, &event.cookie)) note_unused(&event);
    return GO_ON;
}

static __always_inline int on_datagram_call(struct bpf_sock_addr* call, bool sends) {
    struct socket_event event = {.kind = SOCKET_HAS_PORT};
    if (call->type != SOCK_DGRAM || !is_traced_call(call, &event)) return GO_ON;
    if (event.local_port == 0 || is_reported(&event)) return GO_ON;
    bpf_get_current_comm(event.user.command, sizeof event.user.command);
    if (!sends)
        await_capture(&event);
    else if (!is_captured(&event))
        count_unseen();
    note_port(&event);
    return GO_ON;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr* call) { return on_connect(call); }

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr* call) { return on_connect(call); }

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr* call) { return on_datagram_call(call, true); }

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr* call) { return on_datagram_call(call, true); }

SEC("cgroup/getsockname4")
int on_getsockname4(struct bpf_sock_addr* call) { return on_datagram_call(call, false); }

SEC("cgroup/getsockname6")
int on_getsockname6(struct bpf_sock_addr* call) { return on_datagram_call(call, false); }

// TCP.

/// While an IPv4-mapped connect is under way, the socket's IPv6 address is not set yet.
static __always_inline void describe_connection(struct socket_event* event, struct bpf_sock_ops* tcp) {
    event->family = tcp->family;
    event->protocol = IPPROTO_TCP;
    event->local_port = tcp->local_port;
    event->remote_port = bpf_ntohl(tcp->remote_port);
    if (tcp->family == AF_INET) {
        event->local_address[0] = tcp->local_ip4;
        event->remote_address[0] = tcp->remote_ip4;
        return;
    }
    event->remote_address[0] = tcp->remote_ip6[0];
    event->remote_address[1] = tcp->remote_ip6[1];
    event->remote_address[2] = tcp->remote_ip6[2];
    event->remote_address[3] = tcp->remote_ip6[3];
    if (event->remote_address[0] == 0 && event->remote_address[1] == 0 &&
        event->remote_address[2] == bpf_htonl(0xffff)) {
        event->family = AF_INET;
        event->local_address[0] = tcp->local_ip4;
        event->remote_address[0] = event->remote_address[3];
        return;
    }
    event->local_address[0] = tcp->local_ip6[0];
    event->local_address[1] = tcp->local_ip6[1];
    event->local_address[2] = tcp->local_ip6[2];
    event->local_address[3] = tcp->local_ip6[3];
}

static __always_inline void on_syn(struct bpf_sock_ops* tcp) {
    struct socket_event event = {.kind = SOCKET_CONNECTS};
    event.cookie = bpf_get_socket_cookie(tcp);
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event.cookie);
    if (!known) return;
    event.network = known->network;
    event.user = known->user;
    bpf_map_delete_elem(&sockets, &event.cookie);
    describe_connection(&event, tcp);
    admit(IPPROTO_TCP, event.local_port);
    report(&event);
    // Its changes of state, too, from now on.
    if (newer_kernel) bpf_sock_ops_cb_flags_set(tcp, tcp->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/// Of a stranger's socket another program may have asked for that. A listener's end sock_release tells.
static __always_inline void on_state(struct bpf_sock_ops* tcp) {
    const __u32 before = tcp->args[0], now = tcp->args[1];
    if (!newer_kernel || now != BPF_TCP_CLOSE || before == BPF_TCP_LISTEN) return;
    if (!is_admitted(IPPROTO_TCP, tcp->local_port)) return;
    struct socket_event event = {.protocol = IPPROTO_TCP};
    event.kind = before == BPF_TCP_SYN_SENT && tcp->segs_in == 0 ? SOCKET_GIVEN_UP : SOCKET_FINISHED;
    event.cookie = bpf_get_socket_cookie(tcp);
    event.network = bpf_get_netns_cookie(tcp);
    event.local_port = tcp->local_port;
    report(&event);
}

/// For a listener that was not bound; one that was is known, but perhaps not whether it receives IPv6 alone.
static __always_inline void on_listen(struct bpf_sock_ops* tcp) {
    struct socket_event event = {.kind = SOCKET_HAS_PORT};
    event.cookie = bpf_get_socket_cookie(tcp);
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event.cookie);
    if (known) {
        event.network = known->network;
        event.user = known->user;
    } else if (newest_kernel && is_traced(&event)) {
        event.network = bpf_get_netns_cookie(tcp);
    } else {
        return;
    }
    describe_connection(&event, tcp);
    event.remote_port = 0;
    note_tcp_port(&event);
    report(&event);
}

SEC("sockops")
int on_tcp(struct bpf_sock_ops* tcp) {
    switch (tcp->op) {
        case BPF_SOCK_OPS_TCP_CONNECT_CB:
            on_syn(tcp);
            break;
        case BPF_SOCK_OPS_TCP_LISTEN_CB:
            on_listen(tcp);
            break;
        case BPF_SOCK_OPS_STATE_CB:
            on_state(tcp);
            break;
        default:
            break;
    }
    return GO_ON;
}

// UDP ports that were given up.

static __always_inline struct released_port* released_at(__u16 port) {
    const __u32 place = port;
    return bpf_map_lookup_elem(&released, &place);
}

static __always_inline void note_released(__u16 port, __u64 network) {
    struct released_port* place = released_at(port);
    struct released_port* last = released_at(0);
    if (!place || !last) return;
    place->network = network;
    last->time = place->time = bpf_ktime_get_ns();
}

/// To some milliseconds.
static __always_inline bool is_recent(__u64 time) {
    return (__s64)(bpf_ktime_get_coarse_ns() - time) < released_patience;
}

/// Mostly not; then a stranger's packet is looked at no further.
static __always_inline bool any_released(void) {
    struct released_port* last = released_at(0);
    if (!last) return false;
    const __u64 then = *(volatile __u64*)&last->time;
    if (then == 0) return false;
    if (is_recent(then)) return true;
    if (last->time == then) last->time = 0;
    return false;
}

/// Once for each release and each of the strangers, who may have another address than the one that was released. (Where
/// the kernel does not tell a packet's network, those of other networks are taken for successors.)
static __always_inline void on_successor(struct __sk_buff* packet, struct socket_event* event, struct bpf_sock* sk) {
    const struct released_port* place = released_at(sk->src_port);
    if (!place || place->network == 0 || !is_recent(place->time)) return;
    if (latest_kernel && bpf_get_netns_cookie(packet) != place->network) return;
    const __u64 release = place->time;
    const __u64* reported = bpf_map_lookup_elem(&successors, &event->cookie);
    if (reported && *reported == release) return;
    bpf_map_update_elem(&successors, &event->cookie, &release, BPF_ANY);
    describe(event, sk);
    event->network = place->network;
    event->kind = SOCKET_SUCCEEDED;
    report(event);
}

// What is sent.

/// The packet of a socket that no hook has seen in the hands of a traced process may have been sent by one all the
/// same, if it was given the socket; or by an interrupt that came while it ran. tracedump looks. (A packet to the
/// application is most likely a stranger's answer, on the loopback.)
static __always_inline void suspect(struct socket_event* event) {
    const __u8 value = 1;
    if (is_admitted(event->protocol, event->remote_port)) return;
    bpf_map_update_elem(&suspects, &event->cookie, &value, BPF_ANY);
    admit(event->protocol, event->local_port);
    event->kind = SOCKET_SUSPECTED;
    report(event);
}

/// A packet of a socket that may have been given to the process of thread `current`; 0 if the kernel does not tell
/// here.
static __always_inline void on_stray(struct __sk_buff* packet, struct bpf_sock* sk, __u64 current) {
    if (!(flags_of(current >> 32) & PROCESS_GETS_GIFTS) || is_admitted(sk->protocol, sk->src_port)) return;
    struct socket_event event = {.cookie = bpf_get_socket_cookie(packet)};
    event.user.pid = current >> 32;
    event.user.tid = (__u32)current;
    if (bpf_map_lookup_elem(&sockets, &event.cookie) || bpf_map_lookup_elem(&suspects, &event.cookie)) return;
    describe(&event, sk);
    suspect(&event);
}

static __always_inline void on_datagram(struct __sk_buff* packet, struct bpf_sock* sk, __u64 current) {
    struct socket_event event = {.kind = SOCKET_HAS_PORT, .cookie = bpf_get_socket_cookie(packet)};
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event.cookie);
    if (!known) {
        on_successor(packet, &event, sk);
        return on_stray(packet, sk, current);
    }
    if (known->port == sk->src_port) return;
    describe(&event, sk);
    event.network = known->network;
    event.user = known->user;
    note_port(&event);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff* packet) {
    __u64 current = 0;
    if (newest_kernel) {
        current = bpf_get_current_pid_tgid();
        if (!(flags_of(current >> 32) & PROCESS_TRACED) && !any_released()) return GO_ON;
    }
    struct bpf_sock* sk = packet->sk;
    sk = sk ? bpf_sk_fullsock(sk) : NULL;  // one in TIME_WAIT is none
    if (!sk || !has_ports(sk->type, sk->protocol)) return GO_ON;
    if (sk->type == SOCK_DGRAM)
        on_datagram(packet, sk, current);
    else
        on_stray(packet, sk, current);  // the port of any other is known
    return GO_ON;
}

// The end.

SEC("cgroup/sock_release")
int on_release(struct bpf_sock* sk) {
    struct socket_event event = {.kind = SOCKET_RELEASED};
    event.cookie = bpf_get_socket_cookie(sk);
    const struct known_socket* known = bpf_map_lookup_elem(&sockets, &event.cookie);
    if (!known) return GO_ON;
    const bool worth_telling = known->port != 0;
    event.network = known->network;
    event.user = known->user;
    event.local_port = known->port;
    event.protocol = sk->protocol;
    bpf_map_delete_elem(&sockets, &event.cookie);
    if (!worth_telling) return GO_ON;
    if (sk->type == SOCK_DGRAM) note_released(event.local_port, event.network);
    report(&event);
    return GO_ON;
}

char LICENSE[] SEC("license") = "GPL";
