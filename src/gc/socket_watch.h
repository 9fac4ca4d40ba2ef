// What gc has of one network: its table of sockets, the deaths it announces, and who decides what they mean.
// Opened in that network by any thread, before its first claim, so that no death is missed; then the gc thread's.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "gc/collector.h"
#include "gc/sock_diag.h"
#include "util/netns.h"

namespace tracedump {

class SocketWatch {
public:
    using Clock = std::chrono::steady_clock;

    struct Setting {
        bool home = false;             // the network is tracedump's own, and never left
        bool udp_ends_hooked = false;  // hooks tell the end of each UDP socket of the application
        bool tcp_ends_hooked = false;  // and of each TCP socket that they have reported
    };
    /// Opens what the kernel allows: deaths and table by sock_diag, or the table alone, or at home /proc/net. Throws
    /// Error.
    SocketWatch(NetworkId network, std::shared_ptr<PortRegistry> registry, const Setting& setting);

    NetworkId network() const { return network_; }

    /// Readable when deaths wait; -1 if they are not announced.
    int fd() const { return deaths_ ? deaths_->fd() : -1; }

    /// Takes what deaths wait, as having happened now: the kernel does not tell when (netlink(7) stamps no messages),
    /// and who takes a port over before that is taken for the application. Whoever died was born before: judge_deaths()
    /// only when all births up to now are in the registry.
    void hear_deaths();
    void judge_deaths();

    /// A TCP socket without a connection has died.
    void judge_death(SocketCookie socket, Timestamp time);

    /// A process has ended, and probably sockets with it.
    void expect_deaths();

    /// Deaths may have been missed.
    void sweep_soon();

    /// The kernel may make flows of Multipath TCP connections here.
    void expect_flows();

    /// Sweeps if it is time, and the last one was not so long that it would cost too much; and forgets dead claims
    /// whose packets have all been judged.
    void sweep_if_due(Timestamp judged_until);

    /// See Collector. Of those, no hook tells the end.
    std::vector<std::uint64_t> adopt(const std::unordered_set<std::uint64_t>& inodes);

    bool tail_settled() { return collector_.tail_settled(); }

    /// Whether this network can be left: for a while nothing of the application was there. True once each while.
    bool take_idle();

    Clock::time_point next_due() const;

private:
    void hear_more(bool tcp, bool udp);

    const NetworkId network_;
    const Setting setting_;
    const std::shared_ptr<PortRegistry> registry_;
    std::unique_ptr<SocketTable> table_;
    std::optional<SocketDeaths> deaths_;
    Collector collector_;

    struct Dead {
        std::vector<SocketRow> sockets;
        Timestamp until;  // when they were heard of
    };
    std::vector<Dead> dead_;  // not judged yet
    Clock::time_point next_sweep_;
    Clock::time_point rested_;  // from the last sweep
    std::optional<Clock::time_point> idle_since_;
};

}  // namespace tracedump
