// Decides which sockets of the application are gone. What happened comes in, the registry is told; no thread, no
// kernel and no clock of its own, so that tests can show it any socket table at any time. gc thread.
//
//   socket dies                its claim dies with it; a TCP socket's has an afterlife, TIME_WAIT among it
//   TCP listener dies          the connections that were accepted from it get claims of their own first
//   a sweep does not find it   dead, if it could have been found (see sweep)
//
// A Multipath TCP socket is listed by its flows, TCP sockets with cookies of their own; it lives as long as its first
// flow does. The kernel makes the others itself, no system call shows them: a sweep gives them claims.
#pragma once

#include <functional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gc/socket_table.h"
#include "ports/port_registry.h"

namespace tracedump {

class Collector {
public:
    /// Both borrowed.
    Collector(PortRegistry& registry, SocketTable& table) : registry_(registry), table_(table) {}

    /// These sockets of the host, most of them strangers, have died.
    void sockets_died(std::span<const SocketRow> dead, Timestamp now);

    /// Compares the registry with the table. A walk through it takes a while: what it does not find may have lived
    /// until the end of that, by `clock`.
    void sweep(const std::function<Timestamp()>& clock);

    /// Claims those of the sockets with these inodes that are in use, and returns which they were.
    std::vector<std::uint64_t> adopt(const std::unordered_set<std::uint64_t>& inodes, Timestamp now);

    /// Whether no TCP connection of the application has a FIN or its ACK to come.
    bool tail_settled();

    /// Whether the last sweep found Multipath TCP sockets, which may get more flows at any time.
    bool multipath() const { return !flows_.empty() || connections_; }

    /// There may be such sockets, though the registry has only their first flows, as the TCP sockets that they are.
    void expect_flows() { flows_expected_ = true; }

private:
    void adopt_accepted(const Claim& listener);
    void adopt_flows();
    std::optional<std::vector<SocketRow>> rows_of(std::span<const Claim> claims);
    SocketCookie listed_cookie(const SocketInfo& socket, std::span<const SocketRow> rows);

    PortRegistry& registry_;
    SocketTable& table_;
    std::unordered_set<SocketCookie> listed_;  // found by the last sweep

    struct Flow {
        SocketInfo of;
        SocketCookie cookie;
    };
    std::unordered_map<SocketCookie, Flow> flows_;  // the first flow of each Multipath TCP socket
    bool flows_expected_ = false;
    bool connections_ = false;  // the last sweep found Multipath TCP connections, by their flows' tokens
};

}  // namespace tracedump
