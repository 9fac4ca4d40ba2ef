// What flows from the session, and from what hooks report, to monitor.
#pragma once

#include <variant>

#include "ports/socket_news.h"
#include "util/netns.h"
#include "util/signal_mailbox.h"

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

using MonitorInbox = SignalMailbox<MonitorOrder, 0>;

}  // namespace tracedump
