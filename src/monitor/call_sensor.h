// The ptrace sensor: learns the sockets of tracees from their system calls, and publishes each before the call that can
// send its first packet goes on. The stops come from the monitor; what is learned goes to the registry. Monitor thread.
//
//   UDP, any call that sends or connects   the port is chosen and published at entry; no exit stop
//   TCP connect (or fast open)             the remote is published at entry as pending, the port as soon as the kernel
//                                          has chosen it: a moment later, by looking at the socket while the call runs
//                                          (no exit stop), or where that is not to be, at the exit stop
//   bind with a port                       published at entry as provisional, settled at exit
//   bind to port 0, listen without bind    published at exit: nothing can arrive before
//   pidfd_getfd                            the socket that it returns, at exit
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "messages/counters.h"
#include "monitor/net_call.h"
#include "monitor/tracee.h"
#include "ports/networks.h"
#include "ports/socket_news.h"

namespace tracedump {

class CallSensor {
public:
    using Clock = std::chrono::steady_clock;

    /// All borrowed.
    CallSensor(Networks& networks, SocketNews& news, MonitorCounters& counters)
        : networks_(networks), news_(news), counters_(counters) {}

    /// A tracee is about to make `call`. If its outcome must be seen, tracee.under_way is set: with an exit stop, or,
    /// if the caller `can_look` as soon as the call runs, perhaps without.
    void at_entry(Tracee& tracee, const NetCall& call, const ReadMemory& read, bool can_look);

    /// A call without an exit stop runs. Whether there is nothing to be seen of it by looking once more.
    bool look(Tracee& tracee);

    /// A call without an exit stop is over, as another stop of its thread shows.
    void has_returned(Tracee& tracee);

    /// The call under way has returned `result` (an errno value negated), or was interrupted.
    void at_exit(Tracee& tracee, std::int64_t result);

    /// The tracee will not return from its call: it died, or exec'd.
    void abandon(Tracee& tracee);

    /// Publishes every socket that the tracee's descriptor table holds now.
    void adopt_open_sockets(Tracee& tracee);

    /// Connects whose port did not show are asked for it again from time to time.
    std::optional<Clock::time_point> next_question() const;
    void ask_again(Clock::time_point now);

private:
    struct Blocked {
        Tracee* tracee;
        Clock::time_point since;
        Clock::time_point next;
        std::chrono::microseconds pause;
    };

    /// A call at its entry, and the socket that it is made on.
    struct Entry {
        const NetCall& call;
        const ReadMemory& read;
        UniqueFd borrowed;
        SocketInfo socket;
        std::shared_ptr<PortRegistry> registry;
        bool can_look = false;
    };

    /// A connection that was over, or passed on, before anyone could ask for its port: gc hears of its end, or finds
    /// it.
    struct Missed {
        std::shared_ptr<PortRegistry> registry;
        std::uint64_t window;
        SocketCookie cookie;
        Clock::time_point until;
    };

    void adopt(Tracee& tracee, std::span<const int> descriptors);
    void adopt_together(Tracee& tracee, std::span<const int> descriptors);
    UniqueFd borrow(Tracee& tracee, int fd);
    void enter_udp(Tracee& tracee, Entry& entry);
    void enter_tcp(Tracee& tracee, Entry& entry);
    void enter_bind(Tracee& tracee, Entry& entry);
    static CallUnderWay& await_exit(Tracee& tracee, Entry& entry);
    void await_port(Tracee& tracee, Entry& entry, const Endpoint& remote);
    void ask_soon(Tracee& tracee);
    bool ask(const Blocked& blocked, Clock::time_point now);
    void miss(Tracee& tracee);
    void look_for_missed(Clock::time_point now);
    bool is_settled(const Missed& missed, Clock::time_point now);
    static bool waits_elsewhere(const Tracee& tracee);
    void tell_of_missed();
    void conclude(Tracee& tracee, const UniqueFd& socket);
    std::optional<SocketInfo> identify(const Tracee& tracee, const UniqueFd& socket);
    void settle(Tracee& tracee, SocketInfo info);

    Networks& networks_;
    SocketNews& news_;  // of which hooks are to know what is found
    MonitorCounters& counters_;
    std::map<pid_t, Blocked> blocked_;  // tracees in a connect whose port is not known yet, by tid
    std::vector<Missed> missed_;
    Clock::time_point next_look_;  // for them
};

}  // namespace tracedump
