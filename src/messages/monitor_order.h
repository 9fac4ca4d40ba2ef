// What flows from the session, and from what hooks report, to monitor. The monitor waits in sigtimedwait(2), for
// SIGCHLD without a detour; so its bell is a signal too. Both are blocked in every thread, and only the monitor takes
// them.
#pragma once

#include <oneapi/tbb/concurrent_queue.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <variant>

#include "ports/socket_news.h"
#include "util/netns.h"

namespace tracedump {

/// Send this signal to the launched command.
struct PassSignal {
    int signal = 0;
};

/// End every traced process of the launched command.
struct KillTracees {};

/// Let every tracee go, untouched, and end. Not for a command under a seccomp filter, which cannot outlive its tracer.
struct ReleaseTracees {};

/// Nobody captures any more: only carry the tracees on until they end.
struct StopLearning {};

/// A thread has a socket in a network that is not captured yet, and sends nothing before its system call is over: stop
/// it there until that network is captured.
struct HoldAbroad {
    HookedThread thread;
};

using MonitorOrder = std::variant<PassSignal, KillTracees, ReleaseTracees, StopLearning, HoldAbroad>;

class MonitorInbox {
public:
    static int bell_signal() { return SIGRTMIN; }

    void post(MonitorOrder order) {
        queue_.push(order);
        kill(getpid(), bell_signal());
    }

    std::optional<MonitorOrder> take() {
        MonitorOrder order;
        if (!queue_.try_pop(order)) return std::nullopt;
        return order;
    }

private:
    oneapi::tbb::concurrent_queue<MonitorOrder, std::allocator<MonitorOrder>> queue_;  // as in Mailbox
};

}  // namespace tracedump
