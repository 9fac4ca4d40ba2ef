// What flows from monitor, session, hooks and the networks to gc.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <variant>

#include "ports/socket.h"
#include "util/clock.h"
#include "util/mailbox.h"
#include "util/netns.h"

namespace tracedump {

/// A process is traced from now on: it may get sockets that no system call shows.
struct ProcessBegan {
    pid_t pid = 0;
};

/// It has set up an io_uring, through which it can open and connect sockets.
struct UsesIoUring {
    pid_t pid = 0;
};

/// A TCP socket that was bound, or a listener, was closed at `time`; all that it did before is in the registry.
struct SocketClosed {
    NetworkId network = 0;
    SocketCookie cookie = 0;
    Timestamp time = kAlways;
};

/// What hooks in the kernel had to tell was more than there was room for: look at everything.
struct NewsLost {};

/// There is a Multipath TCP socket in that network, for which the kernel may make flows of its own.
struct ExpectFlows {
    NetworkId network = 0;
};

/// A traced process has ended, and with it, probably, sockets: worth a look before the next sweep is due.
struct ProcessEnded {
    pid_t pid = 0;
};

/// The application is gone: answer with TailSettled when its last connections have closed, or after `patience`.
struct AwaitTail {
    std::chrono::milliseconds patience{};
};

class SocketWatch;  // gc/socket_watch.h

/// The application has sockets in this network too.
struct WatchNetwork {
    std::shared_ptr<SocketWatch> watch;
};

/// It has none there any more.
struct LeaveNetwork {
    NetworkId network = 0;
};

struct StopCollecting {};

using GcMessage = std::variant<ProcessBegan, UsesIoUring, SocketClosed, NewsLost, ExpectFlows, ProcessEnded, AwaitTail,
                               WatchNetwork, LeaveNetwork, StopCollecting>;
using GcMailbox = Mailbox<GcMessage>;

}  // namespace tracedump
