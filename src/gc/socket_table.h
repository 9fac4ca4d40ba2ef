// The kernel's table of sockets behind an interface: sock_diag, /proc/net, or in tests a list. gc thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ports/socket.h"

namespace tracedump {

/// TCP's states as the kernel numbers them (net/tcp_states.h); other transports use `established` and `closed`.
enum class SocketState : std::uint8_t {
    established = 1,
    syn_sent,
    syn_received,
    fin_wait1,
    fin_wait2,
    time_wait,
    closed,
    close_wait,
    last_ack,
    listening,
    closing,
    new_syn_received,
    bound_inactive,
};

struct SocketRow {
    SocketCookie cookie = 0;  // 0: the table does not tell
    Transport transport = Transport::tcp;
    SocketState state = SocketState::closed;
    Endpoint local;
    Endpoint remote;          // port 0: not connected
    std::uint32_t token = 0;  // see list_flows(): the connection, as this end calls it
    std::uint64_t inode = 0;  // 0: the table does not tell, or no descriptor has it any more
    bool only_v6 = false;     // of an IPv6 socket: IPV6_V6ONLY

    bool connected() const { return remote.port != 0; }
    bool operator==(const SocketRow&) const = default;
};

class SocketTable {
public:
    virtual ~SocketTable() = default;

    /// Every socket of a transport on one of these local ports (rising, each once), those in TIME_WAIT included.
    /// Nothing if the table cannot be read now.
    virtual std::optional<std::vector<SocketRow>> list(Transport transport, std::span<const std::uint16_t> ports) = 0;

    /// The same of all transports, on all ports: a walk through everything that the host has.
    virtual std::optional<std::vector<SocketRow>> list_all() = 0;

    /// The TCP sockets that have sent or received a FIN and are still to see the last ACK.
    virtual std::vector<SocketRow> list_closing() = 0;

    /// The flows of Multipath TCP connections on these local ports (rising, each once), with their tokens; none if the
    /// table does not tell.
    virtual std::vector<SocketRow> list_flows(std::span<const std::uint16_t>) { return {}; }

    /// The same on all ports, with a lock on every TCP socket that the host has.
    virtual std::vector<SocketRow> list_all_flows() { return {}; }
};

}  // namespace tracedump
