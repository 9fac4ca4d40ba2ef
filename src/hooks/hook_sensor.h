// The bpf sensor: turns what hooks in the kernel report into claims. It has no thread: capture, gc and main catch up,
// one at a time, each before it decides something; monitor says which processes are traced. Reads the hooks' ring
// buffer and, for suspects, a process's descriptors; writes registries; emits NewsLost and ExpectFlows to gc,
// HoldAbroad to monitor. Never stops a tracee.
//
// When an event is reported, its port is in the packet filter already. Each event is a change of one socket at a time;
// its time is turned into that of packet timestamps.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>
#include <vector>

#include "hooks/socket_hooks.h"
#include "messages/gc_message.h"
#include "messages/monitor_order.h"
#include "ports/networks.h"
#include "ports/port_table.h"
#include "ports/socket_news.h"

namespace tracedump {

/// How far CLOCK_REALTIME, by which packets are stamped, is ahead of the hooks' CLOCK_MONOTONIC: as far as it could be
/// measured just now. A socket is born at the earliest time that an event can mean, and dies at the latest.
struct ClockOffset {
    Timestamp earliest = 0;
    Timestamp latest = 0;

    static ClockOffset now();
    Timestamp earliest_of(const socket_event& event) const { return static_cast<Timestamp>(event.time) + earliest; }
    Timestamp latest_of(const socket_event& event) const { return static_cast<Timestamp>(event.time) + latest; }
};

class HookSensor : public SocketNews {
public:
    /// All borrowed. `ports` is the table that the hooks write into.
    struct Links {
        SocketHooks& hooks;
        PortTable& ports;
        Networks& networks;
        GcMailbox& gc;
        MonitorInbox& monitor;
    };

    explicit HookSensor(const Links& links) : links_(links) {}

    bool hooked() const override { return true; }
    void watch(pid_t process, pid_t parent) override { links_.hooks.watch(process, links_.hooks.gets_gifts(parent)); }
    void unwatch(pid_t process) override { links_.hooks.unwatch(process); }
    void answer(const HookedThread& thread) override { links_.hooks.answer(thread); }
    void expect_gifts(pid_t process) override { links_.hooks.expect_gifts(process); }
    void know(const SocketInfo& socket, NetworkId network) override;
    void catch_up() override;
    int fd() const override { return links_.hooks.fd(); }

private:
    using Changes = std::vector<SocketChange>;
    using Clock = std::chrono::steady_clock;

    void take(const socket_event& event);
    Families families_of(const SocketInfo& socket, NetworkId network);
    void look_for_suspects();
    void look_for_suspects(pid_t pid, pid_t tid, std::span<const socket_event> suspects);
    void apply();
    void apply(NetworkId network, const Changes& changes);
    void tell_of_losses();

    const Links links_;
    std::mutex mutex_;  // guards all below: one thread catches up at a time
    ClockOffset clock_offset_;
    std::map<NetworkId, Changes> changes_;  // not applied yet
    std::vector<SocketClosed> closed_;      // TCP without a connection, to be told when the changes are applied
    std::vector<std::pair<Transport, std::uint16_t>> reported_ports_;
    std::vector<socket_event> suspects_;  // not looked for yet
    Clock::time_point next_look_{};
    std::unordered_set<NetworkId> unknown_;  // sockets were reported there, and nobody captures
    std::uint64_t lost_ = 0;
    std::uint64_t unseen_ = 0;
};

/// What an event says of its socket; nothing if it is none of ours. Pure.
std::optional<SocketInfo> socket_of(const socket_event& event);

}  // namespace tracedump
