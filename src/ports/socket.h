// What is known of one socket of the application, and what it may claim of the traffic. Plain values.
#pragma once

#include <cstdint>
#include <optional>

#include "ports/endpoint.h"
#include "util/clock.h"

namespace tracedump {

/// SO_COOKIE: the kernel's own number for a socket, never given twice (socket(7)). Multipath TCP: see inspect_socket.
using SocketCookie = std::uint64_t;

/// Which IP versions a socket that is bound to the wildcard address receives.
enum class Families : std::uint8_t { v4, v6, both };

struct SocketInfo {
    SocketCookie cookie = 0;
    Transport transport = Transport::tcp;
    Families families = Families::v4;
    Endpoint local;                  // port 0: the kernel has not chosen one yet
    std::optional<Endpoint> remote;  // a connected TCP socket's peer; nothing for listeners and for UDP
    bool bound = false;              // the program asked for this port: it keeps it from one connect to the next
    bool multipath = false;          // Multipath TCP: made of TCP sockets, its flows, with cookies of their own

    /// Whether a packet between these ends is this socket's; one that it sent: see sends().
    bool accepts(Transport packet_transport, const Endpoint& packet_local, const Endpoint& packet_remote) const {
        if (transport != packet_transport || local.port != packet_local.port) return false;
        if (!local.address.is_wildcard()) {
            if (local.address != packet_local.address) return false;
        } else if (families != Families::both && (families == Families::v4) != packet_local.address.is_v4()) {
            return false;
        }
        return !remote || *remote == packet_remote;
    }

    /// Whether a packet that this host sends between these ends is this socket's. One that is bound to a group sends
    /// from whatever address the route gives it (inet_bind in net/ipv4/af_inet.c: "use device").
    bool sends(Transport packet_transport, const Endpoint& packet_local, const Endpoint& packet_remote) const {
        if (!local.address.is_group()) return accepts(packet_transport, packet_local, packet_remote);
        return transport == packet_transport && local.port == packet_local.port &&
               local.address.is_v4() == packet_local.address.is_v4();
    }

    bool operator==(const SocketInfo&) const = default;
};

/// "tcp 192.0.2.1:40000 > 192.0.2.2:80"
std::string to_text(const SocketInfo& socket);

/// How long after a TCP socket's death packets of its connections may come: ACKs in TIME_WAIT, what was still in
/// flight, the RSTs that answer it. TCP_TIMEWAIT_LEN of include/net/tcp.h.
inline constexpr Timestamp kTcpAfterlife = 60 * kNanosPerSecond;

/// How long after a socket's death an ICMP error about what it sent may come: three seconds until a neighbour is given
/// up (net.ipv4.neigh.default.mcast_solicit), and what a queue on the way may add.
inline constexpr Timestamp kErrorPatience = 10 * kNanosPerSecond;

/// How long a datagram may wait for its neighbour's address, and a little more: see kErrorPatience.
inline constexpr Timestamp kNeighbourPatience = 10 * kNanosPerSecond;

/// A socket's claim to packets: those of its transport, local endpoint and, if it has one, remote endpoint whose
/// timestamp lies in [birth, death]; of those that it sends, in [birth, silence]: what waits for a neighbour's address
/// goes out after the socket was closed. A TCP socket's claim has an afterlife: packets of connections that began
/// before its death.
struct Claim {
    SocketInfo socket;
    Timestamp birth = kAlways;
    Timestamp death = kNever;
    bool provisional = false;     // a bind is under way that may fail: until it has returned, packets are undecided
    Timestamp silence = kAlways;  // if it sends for longer than it receives: until then

    bool alive() const { return death == kNever; }
    bool has_afterlife_at(Timestamp time) const {
        return socket.transport == Transport::tcp && death < time && time - death <= kTcpAfterlife;
    }
    bool operator==(const Claim&) const = default;
};

/// A socket that is connecting and whose local port the kernel has yet to choose. Packets to and from `remote`
/// since `opened` are undecided until its window closes.
struct PendingRemote {
    std::uint64_t window = 0;
    SocketCookie cookie = 0;
    Transport transport = Transport::tcp;
    Endpoint remote;
    Timestamp opened = kAlways;

    bool operator==(const PendingRemote&) const = default;
};

}  // namespace tracedump
