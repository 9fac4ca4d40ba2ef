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

constexpr int kIpprotoMptcp = 262;  // IPPROTO_MPTCP, not in every libc

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

/// Asks the socket itself, if it is still there. A hook cannot see it.
bool is_v6_only(const socket_event& event) {
    const UniqueFd socket = find_socket(static_cast<pid_t>(event.tid), static_cast<pid_t>(event.pid), event.cookie);
    const auto info = socket ? inspect_socket(socket) : std::nullopt;
    return info && info->families == Families::v6;
}

std::string_view name_of(std::uint32_t kind) {
    constexpr std::string_view names[] = {"bound",    "has a port", "connects",  "unbound",
                                          "released", "suspected",  "multipath", "abroad"};
    return kind < std::size(names) ? names[kind] : "?";
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
    const auto transport = event.protocol == kIpprotoMptcp ? Transport::tcp : transport_of(event.protocol);
    if (!transport) return std::nullopt;
    SocketInfo socket;
    socket.cookie = event.cookie;
    socket.transport = *transport;
    socket.bound = event.kind == SOCKET_BOUND;
    socket.local = endpoint_of(event.family, event.local_address, event.local_port);
    if (event.kind == SOCKET_CONNECTS)
        socket.remote = endpoint_of(event.family, event.remote_address, event.remote_port);
    if (event.family == AF_INET6 && socket.local.address.is_wildcard())
        socket.families = Families::both;
    else
        socket.families = socket.local.address.is_v4() ? Families::v4 : Families::v6;
    return socket;
}

void HookSensor::know(const SocketInfo& socket, NetworkId network) {
    // TCP sockets that have a port need no hook any more: their death is announced to gc.
    if (socket.transport != Transport::tcp) links_.hooks.know(socket.cookie, network, socket.local.port);
}

void HookSensor::catch_up() {
    std::lock_guard lock(mutex_);
    clock_offset_ = ClockOffset::now();
    links_.hooks.drain([this](const socket_event& event) { take(event); });
    apply();
    tell_of_losses();
}

void HookSensor::take(const socket_event& event) {
    log_syscall("hook: socket {} of {} ({}/{}) {}, port {}", event.cookie,
                std::string_view(event.command, strnlen(event.command, sizeof event.command)), event.pid, event.tid,
                name_of(event.kind), event.local_port);
    switch (event.kind) {
        case SOCKET_ABROAD:
            return links_.monitor.post(HoldAbroad{static_cast<pid_t>(event.tid), event.network});
        case SOCKET_MULTIPATH:
            return links_.gc.post(ExpectFlows{event.network});
        default:
            break;
    }
    auto socket = socket_of(event);
    if (!socket) return;
    if (event.local_port != 0) reported_ports_.emplace_back(socket->transport, event.local_port);
    if (event.kind == SOCKET_SUSPECTED) return look_for(event);
    if (event.kind == SOCKET_BOUND && socket->families == Families::both && is_v6_only(event))
        socket->families = Families::v6;
    const bool released = event.kind == SOCKET_RELEASED;
    changes_[event.network].push_back(
        {*socket, released ? clock_offset_.latest_of(event) : clock_offset_.earliest_of(event), released});
}

/// Does the process have that socket?
void HookSensor::look_for(const socket_event& event) {
    const auto pid = static_cast<pid_t>(event.pid);
    const UniqueFd descriptor = find_socket(pid, pid, event.cookie);
    auto socket = descriptor ? inspect_socket(descriptor) : std::nullopt;
    if (!socket) return;
    socket->bound = true;  // as far as anyone can tell now
    const NetworkId network = network_of_socket(descriptor.get());
    if (!links_.networks.of(network, descriptor.get())) return;
    know(*socket, network);
    changes_[network].push_back({*socket, clock_offset_.earliest_of(event)});
}

void HookSensor::apply() {
    for (const auto& [network, changes] : changes_)
        if (const auto registry = links_.networks.find(network)) registry->update(changes);
    changes_.clear();
    // Only now: what is claimed stays in the filter.
    for (const auto& [transport, port] : reported_ports_) links_.ports.settle(transport, port);
    reported_ports_.clear();
}

void HookSensor::tell_of_losses() {
    const auto lost = links_.hooks.lost();
    if (lost == lost_) return;
    log_warning("{} reports of the kernel's hooks found no room; looking at all sockets instead", lost - lost_);
    lost_ = lost;
    links_.gc.post(NewsLost{});
}

}  // namespace tracedump
