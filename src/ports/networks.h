// Ports are numbers of a network namespace: each that the application uses has a registry of its own.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>

#include "ports/port_registry.h"
#include "util/netns.h"

namespace tracedump {

class Networks {
public:
    virtual ~Networks() = default;

    /// The registry for sockets of network `id`, of which `socket` is one. When this returns, that network is being
    /// captured. Null if it cannot be, which has been said. Any thread.
    virtual std::shared_ptr<PortRegistry> of(NetworkId id, int socket) = 0;

    /// The registry of network `id`, null if it is not captured. Any thread.
    virtual std::shared_ptr<PortRegistry> find(NetworkId id) = 0;

    /// SocketInquiry::is_v6_only in network `id`. Any thread.
    virtual std::optional<bool> is_v6_only(NetworkId id, const SocketInfo& socket) = 0;

    /// Has the network captured that thread `tid` of process `pid` is in, unless it cannot be, which has been said. Any
    /// thread.
    virtual void visit(pid_t pid, pid_t tid) = 0;
};

}  // namespace tracedump
