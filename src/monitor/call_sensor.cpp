#include "monitor/call_sensor.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "ports/socket_probe.h"
#include "util/log.h"
#include "util/procfs.h"

namespace tracedump {

namespace {

using std::chrono::microseconds;

// A connect that returns at once is seen at its exit stop. One that blocks is asked for its port, which the kernel
// has chosen by then, after this long, and then less and less often.
constexpr microseconds kFirstQuestion{500};
constexpr microseconds kLongestPause{20'000};

// A new set of ports is put in force for so many sockets at a time, and so many descriptors are ours until then.
constexpr std::size_t kAdoptedTogether = 128;

Address loopback_like(const Address& wildcard) {
    constexpr std::array<std::uint8_t, 4> v4{127, 0, 0, 1};
    constexpr std::array<std::uint8_t, 16> v6{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return wildcard.is_v4() ? Address::v4(v4) : Address::v6(v6);
}

/// Where a connect to `asked` goes: the wildcard means this host, by the socket's own address or the loopback
/// (ip_route_output_key_hash_rcu in net/ipv4/route.c, tcp_v6_connect in net/ipv6/tcp_ipv6.c).
Endpoint destination(Endpoint asked, const Endpoint& local) {
    if (asked.address.is_wildcard())
        asked.address = local.address.is_wildcard() ? loopback_like(asked.address) : local.address;
    return asked;
}

bool begins_connection(const NetCall& call) {
    return call.kind == NetCall::Kind::connect || (call.sends() && (call.flags & MSG_FASTOPEN) != 0);
}

}  // namespace

UniqueFd CallSensor::borrow(Tracee& tracee, int fd) {
    if (!tracee.pidfd) {
        tracee.pidfd = open_pidfd(tracee.tid, tracee.tgid);
        if (!tracee.pidfd) return {};
    }
    int error = 0;
    UniqueFd socket = borrow_descriptor(tracee.pidfd, fd, error);
    // Gone (ESRCH) or closed by a sibling (EBADF) is the tracee's life; forbidden is a gap in the capture.
    if (!socket && error != ESRCH && error != EBADF && counters_.uninspected.fetch_add(1) == 0)
        log_warning("cannot look at descriptor {} of process {}: {}; its packets may be missing", fd, tracee.tgid,
                    error == EMFILE ? "too many open files" : "the kernel forbids it");
    return socket;
}

void CallSensor::at_entry(Tracee& tracee, const NetCall& call, const ReadMemory& read) {
    if (call.kind == NetCall::Kind::pidfd_getfd) {
        tracee.under_way.emplace().kind = call.kind;
        return;
    }
    UniqueFd socket = borrow(tracee, call.fd);
    if (!socket) return;
    const auto info = inspect_socket(socket);
    if (!info) return;
    auto registry = networks_.of(network_of_socket(socket.get()), socket.get());
    if (!registry) return;
    Entry entry{call, read, std::move(socket), *info, std::move(registry)};
    if (call.kind == NetCall::Kind::bind)
        enter_bind(tracee, entry);
    else if (info->transport == Transport::tcp)
        enter_tcp(tracee, entry);
    else
        enter_udp(tracee, entry);
}

void CallSensor::enter_bind(Tracee& tracee, Entry& entry) {
    if (entry.socket.local.port != 0) {  // bound already: this bind will fail
        entry.registry->claim(entry.socket, realtime_now());
        return;
    }
    const auto address = read_address(entry.call, entry.read);
    CallUnderWay& under_way = await_exit(tracee, entry);
    if (!address || !address->endpoint || address->endpoint->port == 0) return;
    // The port may be a stranger's, and then bind fails; or another thread may yet write another one.
    SocketInfo wanted = entry.socket;
    wanted.local = *address->endpoint;
    under_way.window = entry.registry->open_bind_window(wanted, under_way.began);
}

void CallSensor::enter_udp(Tracee& tracee, Entry& entry) {
    const NetCall& call = entry.call;
    if (call.kind == NetCall::Kind::listen) return;
    if (call.kind == NetCall::Kind::connect) {
        const auto address = read_address(call, entry.read);
        if (address && address->unspecified_family) {
            await_exit(tracee, entry);  // a port that the kernel chose is given up, one that was bound stays
            return;
        }
    }
    if (entry.socket.local.port == 0 && !choose_udp_port(entry.borrowed, entry.socket))
        look_again(entry.borrowed, entry.socket);
    if (entry.socket.local.port != 0) return entry.registry->claim(entry.socket, realtime_now());
    // IP_BIND_ADDRESS_NO_PORT, or no port free: as for TCP, the kernel chooses when it knows the remote.
    if (const auto address = read_address(call, entry.read); address && address->endpoint)
        await_port(tracee, entry, destination(*address->endpoint, entry.socket.local));
}

void CallSensor::enter_tcp(Tracee& tracee, Entry& entry) {
    const SocketInfo& socket = entry.socket;
    if (entry.call.kind == NetCall::Kind::listen) {
        if (socket.local.port != 0)
            entry.registry->claim(socket, realtime_now());
        else
            await_exit(tracee, entry);
        return;
    }
    if (!begins_connection(entry.call) || socket.remote) {
        // Sending on a connection: one that we saw begin, or that was handed to the tracee from outside.
        if (socket.local.port != 0) entry.registry->claim(socket, realtime_now());
        return;
    }
    const auto address = read_address(entry.call, entry.read);
    if (!address) {
        // Not in memory yet, perhaps (see peek): without the remote, the port is all that can be known, and later.
        await_exit(tracee, entry);
        ask_soon(tracee);
        return;
    }
    if (address->unspecified_family) {
        await_exit(tracee, entry).dissolves = true;
        return;
    }
    if (!address->endpoint) return;
    const Endpoint remote = destination(*address->endpoint, socket.local);
    const auto known = entry.registry->find(socket.cookie);
    if (known && known->socket.bound && known->socket.local.port == socket.local.port)
        await_exit(tracee, entry).remote = remote;  // the port is in the set since bind
    else
        await_port(tracee, entry, remote);
}

CallUnderWay& CallSensor::await_exit(Tracee& tracee, Entry& entry) {
    CallUnderWay under_way;
    under_way.kind = entry.call.kind;
    under_way.fd = entry.call.fd;
    under_way.socket = std::move(entry.borrowed);
    under_way.asked = entry.socket;
    under_way.began = realtime_now();
    under_way.registry = entry.registry;
    return tracee.under_way.emplace(std::move(under_way));
}

void CallSensor::await_port(Tracee& tracee, Entry& entry, const Endpoint& remote) {
    CallUnderWay& under_way = await_exit(tracee, entry);
    const SocketInfo& socket = entry.socket;
    under_way.window = entry.registry->open_window(socket.cookie, socket.transport, remote, under_way.began);
    under_way.remote = remote;
    // A TCP socket whose last connect was refused or dissolved still shows the port that it had then.
    under_way.stale_port = socket.local.port;
    ask_soon(tracee);
}

void CallSensor::ask_soon(Tracee& tracee) {
    blocked_[tracee.tid] = Blocked{&tracee, Clock::now() + kFirstQuestion, kFirstQuestion};
}

void CallSensor::settle(Tracee& tracee, SocketInfo info) {
    CallUnderWay& call = *tracee.under_way;
    // While a connect is under way, or once it was refused, there is no peer to be asked for.
    if (info.transport == Transport::tcp && !info.remote) info.remote = call.remote;
    if (call.kind == NetCall::Kind::bind) info.bound = true;
    if (call.dissolves) info.local.port = 0;
    if (call.window)
        call.registry->close_window(*call.window, info);
    else
        call.registry->claim(info, realtime_now());
    call.settled = true;
    blocked_.erase(tracee.tid);
}

void CallSensor::at_exit(Tracee& tracee, std::int64_t result) {
    if (!tracee.under_way) return;
    if (tracee.under_way->kind == NetCall::Kind::pidfd_getfd) {
        const int given = static_cast<int>(result);
        if (result >= 0) adopt(tracee, std::span(&given, 1));
    } else {
        CallUnderWay& call = *tracee.under_way;
        look_in_its_place(tracee);
        if (!call.settled) {
            SocketInfo info = call.asked;
            if (!look_again(call.socket, info)) return abandon(tracee);
            settle(tracee, info);
        }
    }
    tracee.under_way.reset();
}

/// Between our look at the descriptor and the kernel's, another thread may have put another socket there (dup2, or
/// close and open): then that is the one that was connected or bound.
void CallSensor::look_in_its_place(Tracee& tracee) {
    const CallUnderWay& call = *tracee.under_way;
    const UniqueFd socket = borrow(tracee, call.fd);
    if (!socket || has_cookie(socket, call.asked.cookie)) return;
    auto info = inspect_socket(socket);
    if (!info || info->cookie == call.asked.cookie || info->local.port == 0) return;
    const auto registry = networks_.of(network_of_socket(socket.get()), socket.get());
    if (!registry || registry->find(info->cookie)) return;
    if (info->transport == Transport::tcp && !info->remote) info->remote = call.remote;
    registry->claim(*info, call.began);
}

void CallSensor::abandon(Tracee& tracee) {
    if (const auto& call = tracee.under_way; call && call->window)
        call->registry->close_window(*call->window, std::nullopt);
    tracee.under_way.reset();
    blocked_.erase(tracee.tid);
}

void CallSensor::adopt_open_sockets(Tracee& tracee) {
    std::vector<int> sockets;
    for (const ProcFs::Descriptor& descriptor : ProcFs().descriptors(tracee.tgid, tracee.tid))
        if (descriptor.kind == ProcFs::Descriptor::Kind::socket) sockets.push_back(descriptor.fd);
    adopt(tracee, sockets);
}

void CallSensor::adopt(Tracee& tracee, std::span<const int> descriptors) {
    for (; descriptors.size() > kAdoptedTogether; descriptors = descriptors.subspan(kAdoptedTogether))
        adopt_together(tracee, descriptors.first(kAdoptedTogether));
    adopt_together(tracee, descriptors);
}

void CallSensor::adopt_together(Tracee& tracee, std::span<const int> descriptors) {
    std::map<std::shared_ptr<PortRegistry>, std::vector<SocketInfo>> found;
    // Until they are claimed: if the tracee closes one meanwhile, the kernel tells its end after that, not before.
    std::vector<UniqueFd> borrowed;
    for (const int fd : descriptors) {
        UniqueFd socket = borrow(tracee, fd);
        if (!socket) continue;
        const auto info = inspect_socket(socket);
        if (!info) news_.expect_gifts(tracee.tgid);  // through a socket of another kind
        if (!info || info->local.port == 0) continue;
        const NetworkId network = network_of_socket(socket.get());
        const auto registry = networks_.of(network, socket.get());
        if (!registry) continue;
        news_.know(*info, network);
        auto& sockets = found[registry];
        sockets.push_back(*info);
        sockets.back().bound = true;  // as far as anyone can tell now
        borrowed.push_back(std::move(socket));
    }
    for (const auto& [registry, sockets] : found) registry->claim(sockets, realtime_now());
}

std::optional<CallSensor::Clock::time_point> CallSensor::next_question() const {
    if (blocked_.empty()) return std::nullopt;
    return std::min_element(blocked_.begin(), blocked_.end(),
                            [](const auto& a, const auto& b) { return a.second.next < b.second.next; })
        ->second.next;
}

void CallSensor::ask_again(Clock::time_point now) {
    for (auto entry = blocked_.begin(); entry != blocked_.end();) {
        Blocked& blocked = entry->second;
        ++entry;  // settle() takes the current one out
        if (blocked.next > now) continue;
        Tracee& tracee = *blocked.tracee;
        SocketInfo info = tracee.under_way->asked;
        if (look_again(tracee.under_way->socket, info) && info.local.port != 0 &&
            info.local.port != tracee.under_way->stale_port) {
            settle(tracee, info);
        } else {
            blocked.pause = std::min(blocked.pause * 2, kLongestPause);
            blocked.next = now + blocked.pause;
        }
    }
}

}  // namespace tracedump
