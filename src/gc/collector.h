// Decides which sockets of the application are gone. What happened comes in, the registry is told; no thread, no
// kernel and no clock of its own, so that tests can show it any socket table at any time. gc thread.
//
//   socket dies                its claim dies with it; a TCP socket's has an afterlife, TIME_WAIT among it
//   TCP listener dies          the connections that were accepted from it get claims of their own first
//   a sweep does not find it   dead, if it could have been found (see sweep)
#pragma once

#include <span>
#include <unordered_set>

#include "gc/socket_table.h"
#include "ports/port_registry.h"

namespace tracedump {

class Collector {
public:
    /// Both borrowed.
    Collector(PortRegistry& registry, SocketTable& table) : registry_(registry), table_(table) {}

    /// These sockets of the host, most of them strangers, have died.
    void sockets_died(std::span<const SocketRow> dead, Timestamp now);

    /// Compares the registry with the table.
    void sweep(Timestamp now);

    /// Whether no TCP connection of the application has a FIN or its ACK to come.
    bool tail_settled();

private:
    void adopt_accepted(const Claim& listener);

    PortRegistry& registry_;
    SocketTable& table_;
    std::unordered_set<SocketCookie> listed_;  // found by the last sweep
};

}  // namespace tracedump
