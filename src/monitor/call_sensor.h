// The ptrace sensor: learns the sockets of tracees from their system calls, and publishes each before the call that can
// send its first packet goes on. The stops come from the monitor; what is learned goes to the registry. Monitor thread.
//
//   UDP, any call that sends or connects   the port is chosen and published at entry; no exit stop
//   TCP connect (or fast open)             the remote is published at entry as pending, the port as soon as the kernel
//                                          has chosen it: at the exit stop, or earlier by asking when it blocks
//   bind with a port                       published at entry as provisional, settled at exit
//   bind to port 0, listen without bind    published at exit: nothing can arrive before
//   pidfd_getfd                            the socket that it returns, at exit
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <span>

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

    /// A tracee is about to make `call`. If its outcome must be seen, tracee.under_way is set.
    void at_entry(Tracee& tracee, const NetCall& call, const ReadMemory& read);

    /// The call under way has returned `result` (an errno value negated), or was interrupted.
    void at_exit(Tracee& tracee, std::int64_t result);

    /// The tracee will not return from its call: it died, or exec'd.
    void abandon(Tracee& tracee);

    /// Publishes every socket that the tracee's descriptor table holds now.
    void adopt_open_sockets(Tracee& tracee);

    /// Connects that have not returned are asked for their port again from time to time.
    std::optional<Clock::time_point> next_question() const;
    void ask_again(Clock::time_point now);

private:
    struct Blocked {
        Tracee* tracee;
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
    void look_in_its_place(Tracee& tracee);
    void settle(Tracee& tracee, SocketInfo info);

    Networks& networks_;
    SocketNews& news_;  // of which hooks are to know what is found
    MonitorCounters& counters_;
    std::map<pid_t, Blocked> blocked_;  // tracees in a connect whose port is not known yet, by tid
};

}  // namespace tracedump
