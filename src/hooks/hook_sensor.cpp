#include "hooks/hook_sensor.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <string_view>

#include "ports/socket_probe.h"
#include "util/log.h"

namespace tracedump {

namespace {

Timestamp monotonic_now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return from_timespec(t);
}

Endpoint endpoint_of(std::uint16_t family, const std::uint32_t (&words)[4], std::uint16_t port) {
    std::array<std::uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), words, sizeof words);
    return {family == AF_INET ? Address::v4(std::span<const std::uint8_t>(bytes).first<4>()) : Address::v6(bytes),
            port};
}

std::string_view name_of(std::uint32_t kind) {
    constexpr std::string_view names[] = {"bound",    "has a port", "connects",  "unbound",   "released", "succeeded",
                                          "finished", "given up",   "suspected", "multipath", "abroad"};
    return kind < std::size(names) ? names[kind] : "?";
}

SocketChange::Kind kind_of(const socket_event& event) {
    switch (event.kind) {
        case SOCKET_RELEASED:
        case SOCKET_GIVEN_UP:
            return SocketChange::Kind::released;
        case SOCKET_FINISHED:
            return SocketChange::Kind::finished;
        case SOCKET_SUCCEEDED:
            return SocketChange::Kind::succeeded;
        default:
            return SocketChange::Kind::claimed;
    }
}

HookedThread hooked_thread(const socket_event& event) {
    return {static_cast<pid_t>(event.user.pid), static_cast<pid_t>(event.user.tid), event.time};
}

}  // namespace

ClockOffset ClockOffset::now() {
    ClockOffset best{0, kNever};
    // A thread that loses its CPU in between knows less; one of these goes undisturbed.
    for (int i = 0; i < 5; ++i) {
        const Timestamp before = monotonic_now();
        const Timestamp realtime = realtime_now();
        const Timestamp after = monotonic_now();
        if (after - before < best.latest - best.earliest) best = {realtime - after, realtime - before};
    }
    return best;
}

std::optional<SocketInfo> socket_of(const socket_event& event) {
    const auto transport = event.protocol == IPPROTO_MPTCP ? Transport::tcp : transport_of(event.protocol);
    if (!transport) return std::nullopt;
    SocketInfo socket;
    socket.cookie = event.cookie;
    socket.transport = *transport;
    socket.bound = event.kind == SOCKET_BOUND;
    socket.local = endpoint_of(event.family, event.local_address, event.local_port);
    if (event.kind == SOCKET_CONNECTS)
        socket.remote = endpoint_of(event.family, event.remote_address, event.remote_port);
    // One of TCP that is only bound neither sends nor receives yet.
    const bool idle = event.kind == SOCKET_BOUND && socket.transport == Transport::tcp;
    if (event.family == AF_INET6 && socket.local.address.is_wildcard() && !idle)
        socket.families = Families::both;
    else
        socket.families = socket.local.address.is_v4() ? Families::v4 : Families::v6;
    return socket;
}

void HookSensor::know(const SocketInfo& socket, NetworkId network) {
    // Of a TCP socket that was found the kernel announces the death (see SocketWatch).
    if (socket.transport != Transport::tcp) links_.hooks.know(socket.cookie, network, socket.local.port);
}

void HookSensor::catch_up() {
    std::lock_guard lock(mutex_);
    clock_offset_ = ClockOffset::now();
    links_.hooks.drain([this](const socket_event& event) { take(event); });
    look_for_suspects();
    apply();
    tell_of_losses();
}

void HookSensor::take(const socket_event& event) {
    log_syscall("hook: socket {} of {} ({}/{}) {}, port {}", event.cookie,
                std::string_view(event.user.command, strnlen(event.user.command, sizeof event.user.command)),
                event.user.pid, event.user.tid, name_of(event.kind), event.local_port);
    switch (event.kind) {
        case SOCKET_ABROAD:
            return links_.monitor.post(HoldAbroad{hooked_thread(event)});
        case SOCKET_MULTIPATH:
            return links_.gc.post(ExpectFlows{event.network});
        default:
            break;
    }
    auto socket = socket_of(event);
    if (!socket) return;
    if (event.local_port != 0) reported_ports_.emplace_back(socket->transport, event.local_port);
    if (event.kind == SOCKET_SUSPECTED) return suspects_.push_back(event);
    // Of a listener, accepted connections may be left.
    if (event.kind == SOCKET_RELEASED && socket->transport == Transport::tcp)
        return closed_.push_back({event.network, event.cookie, clock_offset_.latest_of(event)});
    const auto kind = kind_of(event);
    if (kind == SocketChange::Kind::claimed && socket->families == Families::both)
        socket->families = families_of(*socket, event.network);
    const bool is_end = kind == SocketChange::Kind::released || kind == SocketChange::Kind::finished;
    changes_[event.network].push_back(
        {*socket, is_end ? clock_offset_.latest_of(event) : clock_offset_.earliest_of(event), kind});
}

/// A hook cannot see whether a socket on IPv6's wildcard address receives IPv6 alone.
Families HookSensor::families_of(const SocketInfo& socket, NetworkId network) {
    if (const auto only_v6 = links_.networks.is_v6_only(network, socket))
        return *only_v6 ? Families::v6 : Families::both;
    const auto registry = links_.networks.find(network);
    const auto known = registry ? registry->find(socket.cookie) : std::nullopt;
    return known && known->socket.local == socket.local ? known->socket.families : Families::both;
}

/// Which of them does the process have? To look through a thousand descriptors takes milliseconds, and strangers'
/// sockets are suspected, too: so it rests as long as to need a small part of a CPU.
void HookSensor::look_for_suspects() {
    constexpr int kRest = 25;
    const auto began = Clock::now();
    if (suspects_.empty() || began < next_look_) return;
    std::sort(suspects_.begin(), suspects_.end(),
              [](const auto& one, const auto& other) { return one.user.pid < other.user.pid; });
    for (auto first = suspects_.begin(); first != suspects_.end();) {
        const auto last =
            std::find_if(first, suspects_.end(), [&](const auto& other) { return other.user.pid != first->user.pid; });
        look_for_suspects(static_cast<pid_t>(first->user.pid), static_cast<pid_t>(first->user.tid), {first, last});
        first = last;
    }
    suspects_.clear();
    const auto ended = Clock::now();
    next_look_ = ended + kRest * (ended - began);
}

void HookSensor::look_for_suspects(pid_t pid, pid_t tid, std::span<const socket_event> suspects) {
    std::vector<SocketCookie> cookies;
    for (const auto& suspect : suspects) cookies.push_back(suspect.cookie);
    for (const UniqueFd& descriptor : find_sockets(tid, pid, cookies)) {
        auto socket = inspect_socket(descriptor);
        const NetworkId network = network_of_socket(descriptor.get());
        if (!socket || !links_.networks.of(network, descriptor.get())) continue;
        const auto suspect = std::find_if(suspects.begin(), suspects.end(),
                                          [&](const auto& event) { return event.cookie == socket->cookie; });
        if (suspect == suspects.end()) continue;
        socket->bound = true;  // as far as anyone can tell now
        know(*socket, network);
        changes_[network].push_back({*socket, clock_offset_.earliest_of(*suspect), SocketChange::Kind::found});
    }
}

void HookSensor::apply() {
    for (const auto& [network, changes] : changes_) apply(network, changes);
    changes_.clear();
    for (const SocketClosed& closed : closed_) links_.gc.post(closed);
    closed_.clear();
    // Only now: what is claimed stays in the filter.
    for (const auto& [transport, port] : reported_ports_) links_.ports.settle(transport, port);
    reported_ports_.clear();
}

void HookSensor::apply(NetworkId network, const Changes& changes) {
    if (const auto registry = links_.networks.find(network)) return registry->update(changes);
    const bool any_born = std::any_of(changes.begin(), changes.end(), [](const SocketChange& change) {
        return change.kind == SocketChange::Kind::claimed || change.kind == SocketChange::Kind::found;
    });
    if (any_born && unknown_.insert(network).second) links_.gc.post(NewsLost{});
}

void HookSensor::tell_of_losses() {
    if (const auto lost = links_.hooks.lost(); lost != lost_) {
        log_warning("{} reports of the kernel's hooks found no room; looking at all sockets instead", lost - lost_);
        lost_ = lost;
        links_.gc.post(NewsLost{});
    }
    if (const auto unseen = links_.hooks.unseen(); unseen != unseen_) {
        log_warning("packets may be missing: sent in another network namespace before it was captured (sockets: {})",
                    unseen - unseen_);
        unseen_ = unseen;
    }
}

}  // namespace tracedump
