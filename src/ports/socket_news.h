// What hooks in the kernel tell of the application's sockets, as the threads see it: monitor says which processes are
// the application's, everyone says which sockets were found by looking, and whoever is about to decide something about
// a packet or a socket first catches up with what has happened.
//
// This class itself is no news: of a capture whose sockets are learned from system-call stops instead.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "ports/socket.h"
#include "util/netns.h"

namespace tracedump {

/// A thread that waits in a hook for an answer (SocketNews::answer).
struct HookedThread {
    pid_t pid = 0;
    pid_t tid = 0;
    std::uint64_t time = 0;  // of the event by which the hook told us
};

class SocketNews {
public:
    virtual ~SocketNews() = default;

    /// Whether there are hooks, so that no process need be stopped to learn of its sockets.
    virtual bool hooked() const { return false; }

    /// This process is the application's, from now on; `parent`, if it is too, has made it. Call before it runs.
    /// Monitor thread.
    virtual void watch([[maybe_unused]] pid_t process, [[maybe_unused]] pid_t parent) {}
    /// It has ended. Monitor thread.
    virtual void unwatch(pid_t) {}

    /// A thread that waits in a hook for its network to be captured may go on: it is going to stop, or the network is.
    /// Monitor thread.
    virtual void answer(const HookedThread&) {}

    /// Sockets may be given to this process: it has one that descriptors come through (unix(7)). Any thread.
    virtual void expect_gifts(pid_t) {}

    /// This socket, in that network, is the application's; it was there before, or was given to it. Any thread.
    virtual void know(const SocketInfo&, NetworkId) {}

    /// Brings the registries up to date with all that has happened before the call. Any thread.
    virtual void catch_up() {}

    /// Readable when it is urgent to catch up; -1 if it never is.
    virtual int fd() const { return -1; }
};

}  // namespace tracedump
