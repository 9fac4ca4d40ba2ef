// One traced thread. Monitor thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "monitor/net_call.h"
#include "monitor/registers.h"
#include "ports/port_registry.h"
#include "util/fd.h"
#include "util/netns.h"

namespace tracedump {

/// A system call that was let go on and whose outcome the exit stop will show.
struct CallUnderWay {
    NetCall::Kind kind = NetCall::Kind::connect;
    int fd = -1;
    UniqueFd socket;   // borrowed for as long as the call has it, whatever other threads do to the descriptor
    SocketInfo asked;  // what it was at the entry
    Timestamp began = kAlways;
    std::shared_ptr<PortRegistry> registry;  // of the socket's network
    std::optional<std::uint64_t> window;     // of a connect whose port was not known at entry, or of a bind
    std::optional<Endpoint> remote;          // that it asked for
    std::uint16_t stale_port = 0;            // which the socket may still show from a connection before
    bool dissolves = false;                  // connect to AF_UNSPEC
    bool settled = false;                    // what it became is known already
};

struct Tracee {
    pid_t tid = 0;
    pid_t tgid = 0;                         // 0 until its parent's event, or its first call, tells
    UniqueFd pidfd;                         // opened at the first look at a socket
    std::optional<CallUnderWay> under_way;  // an exit stop is wanted
    bool stopped = false;                   // the process was stopped, and its SIGCONT is yet to be delivered
    Restart last_restart;
    bool interrupted = false;       // by us, to begin tracing it; its next stop is that one
    std::uint32_t hidden_arch = 0;  // the ABI of a clone whose CLONE_UNTRACED is hidden, and yet to be put back
    bool abroad = false;            // it is being stopped until the network where it is now is captured
    bool held = false;              // born in such a clone, perhaps: waits for its parent's event
};

}  // namespace tracedump
