// What the headers of one packet say. Pure: bytes in, values out, any thread.
// Reads IPv4 (RFC 791) and IPv6 with its extension headers (RFC 8200), TCP, UDP and UDP-Lite ports, and the same of
// what ICMP errors quote (RFC 792, RFC 4443; not of errors that are in fragments themselves). Every length is
// checked against the bytes that were captured; a malformed or cut-off packet is `other`, never a guess.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "ports/endpoint.h"

namespace tracedump {

/// What the fragments of one datagram have in common (RFC 791, RFC 8200 4.5). IPv6 leaves the protocol out: 0.
struct DatagramKey {
    Address source;
    Address destination;
    std::uint32_t identification = 0;
    std::uint8_t protocol = 0;

    bool operator==(const DatagramKey&) const = default;
};

struct ParsedPacket {
    enum class Kind : std::uint8_t {
        ports,           // transport, source and destination are known
        icmp_error,      // they are those of a packet that an ICMP or ICMPv6 error quotes
        later_fragment,  // a fragment that does not hold the ports
        other,           // not TCP, UDP or UDP-Lite, malformed, or too short to tell
    };
    Kind kind = Kind::other;
    Transport transport = Transport::tcp;
    Endpoint source;
    Endpoint destination;
    bool opens_connection = false;  // TCP with SYN and without ACK

    struct Fragment {
        std::uint32_t identification = 0;
        std::uint8_t protocol = 0;
    };
    std::optional<Fragment> fragment;  // that is not the whole

    /// The datagram that `fragment` is of.
    DatagramKey datagram() const {
        return {source.address, destination.address, fragment->identification, fragment->protocol};
    }
};

/// The types of ICMP that quote a packet: unreachable, source quench, redirect, time exceeded, parameter problem.
inline constexpr std::uint8_t kIcmpErrors[] = {3, 4, 5, 11, 12};
/// ICMPv6: all types below quote one (RFC 4443, 2.1).
inline constexpr std::uint8_t kFirstIcmpv6Information = 128;

/// `protocol` is IPPROTO_ICMP or IPPROTO_ICMPV6.
bool is_icmp_error(std::uint8_t protocol, std::uint8_t type);

/// `data` begins at the network header; `ethertype` in host byte order.
ParsedPacket parse_packet(std::span<const std::uint8_t> data, std::uint16_t ethertype);

}  // namespace tracedump
